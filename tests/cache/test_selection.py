from dataclasses import replace

import pytest
from cache.samples import OTHER_ROOT, ROOT, make_block, make_chain
from cache.test_keys import RECORD

from erllama_cache.block import Block
from erllama_cache.disk.origins import Origin
from erllama_cache.disk.row import Row
from erllama_cache.errors import ModelNotCached
from erllama_cache.tending.selection import Selection
from erllama_cache.tending.survey import Survey

NOW = 10_000.0
ORIGINS = {
    ROOT: Origin(model="demo", model_fingerprint="00", record=RECORD),
    OTHER_ROOT: Origin(model="/models/b.gguf", model_fingerprint="11", record=RECORD),
}

CHAIN = make_chain([1, 2], [3], [4])
BRANCH = make_block([9], CHAIN[0])
OTHER = make_block([5], root=OTHER_ROOT)


def row(block: Block, used: float = NOW, *, is_pinned: bool = False) -> Row:
    return Row.of(block, used=used, label="", is_pinned=is_pinned)


@pytest.fixture
def found() -> Survey:
    return Survey([row(CHAIN[0]), row(CHAIN[1], 100), row(CHAIN[2], 200), row(BRANCH, 300), row(OTHER, 400)], ORIGINS)


def keys(selection: Selection, found: Survey) -> list[bytes]:
    return [each.key for each in selection.rows(found, NOW)]


def test_without_a_word_everything_can_go_the_deepest_first(found: Survey) -> None:
    gone = keys(Selection(), found)
    assert set(gone) == found.rows.keys()
    assert gone.index(CHAIN[2].key) < gone.index(CHAIN[1].key) < gone.index(CHAIN[0].key)


def test_what_was_used_lately_stays_and_so_does_what_carries_it(found: Survey) -> None:
    assert set(keys(Selection(unused_s=9_750), found)) == {CHAIN[1].key, CHAIN[2].key}
    assert CHAIN[0].key not in keys(Selection(unused_s=1), found)


@pytest.mark.parametrize(("model", "root"), [("demo", ROOT), ("/models/b.gguf", OTHER_ROOT), ("b.gguf", OTHER_ROOT)])
def test_a_model_is_told_by_what_its_user_calls_it(found: Survey, model: str, root: bytes) -> None:
    assert {found.rows[key].root for key in keys(Selection(models=[model]), found)} == {root}


def test_a_model_of_which_nothing_is_there_is_named(found: Survey) -> None:
    with pytest.raises(ModelNotCached, match="other"):
        keys(Selection(models=["other"]), found)


def test_a_block_goes_with_all_that_extends_it(found: Survey) -> None:
    assert keys(Selection(below=CHAIN[1].key), found) == [CHAIN[2].key, CHAIN[1].key]


def test_what_is_pinned_stays_with_all_that_it_extends(found: Survey) -> None:
    rows = [replace(each, is_pinned=each.key == CHAIN[1].key) for each in found.rows.values()]
    assert set(keys(Selection(), Survey(rows, ORIGINS))) == {CHAIN[2].key, BRANCH.key, OTHER.key}


def test_all_that_is_said_has_to_hold(found: Survey) -> None:
    selection = Selection(unused_s=9_650, models=["demo"], below=CHAIN[0].key, only={CHAIN[2].key, OTHER.key})
    assert keys(selection, found) == [CHAIN[2].key]


def test_room_is_made_of_the_least_valuable_that_are_selected_and_of_no_more_than_it_takes(found: Survey) -> None:
    size = row(CHAIN[2]).file_bytes
    assert keys(Selection(models=["demo"], freed_bytes=1), found) == [CHAIN[2].key]
    assert keys(Selection(models=["demo"], freed_bytes=size + 1), found) == [CHAIN[2].key, CHAIN[1].key]
    assert set(keys(Selection(freed_bytes=1 << 40), found)) == found.rows.keys()
    assert keys(Selection(freed_bytes=0), found) == []
