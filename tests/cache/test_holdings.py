from pathlib import Path

import pytest
from cache.samples import make_block, make_chain

from erllama_cache.block import Block
from erllama_cache.disk.index import INDEX_NAME
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.tier import DiskTier
from erllama_cache.errors import CacheUnwritable, KeyUnknown
from erllama_cache.store import Store
from erllama_cache.tending.holdings import Holdings
from erllama_cache.tending.survey import survey


@pytest.fixture
def chain(disk: DiskTier) -> list[Block]:
    chain = make_chain([1, 2], [3], [4])
    for block in chain:
        disk.publish(block)
    return chain


def test_blocks_go_beside_an_open_tier_and_progress_ends_at_the_whole(disk: DiskTier, chain: list[Block]) -> None:
    told: list[tuple[int, int]] = []
    found = survey(disk.files.directory)
    with Holdings(disk.files.directory) as holdings:
        gone = holdings.let_go(found.removable(found.rows.keys()), lambda done, total: told.append((done, total)))
    assert [row.key for row in gone] == [block.key for block in reversed(chain)]
    assert told[-1] == (3, 3)
    assert disk.totals().rows == 0
    assert not any(disk.files.path(block.key).exists() for block in chain)
    departed = disk.index.departed(chain[0].key)
    assert departed is not None
    assert departed[1] == "removed"


def test_what_was_extended_or_pinned_after_the_survey_stays(disk: DiskTier, chain: list[Block]) -> None:
    found = survey(disk.files.directory)
    disk.publish(make_block([5], chain[2]))
    other = make_block([6])
    disk.publish(other)
    with Holdings(disk.files.directory) as holdings:
        holdings.pin([other.key])
        rows = [*found.removable(found.rows.keys()), survey(disk.files.directory).rows[other.key]]
        assert holdings.let_go(rows) == []
    assert disk.totals().rows == 5


def test_what_is_pinned_goes_with_its_pin_if_that_is_wanted(disk: DiskTier, chain: list[Block]) -> None:
    with Holdings(disk.files.directory) as holdings:
        holdings.pin([chain[2].key])
        found = survey(disk.files.directory)
        assert holdings.let_go(found.removable(found.rows.keys())) == []
        rows = found.removable(found.rows.keys(), even_pinned=True)
        assert len(holdings.let_go(rows, even_pinned=True)) == 3
    assert Pins(disk.files.directory).all() == set()


def test_a_pin_holds_in_the_index_and_in_one_made_anew(disk: DiskTier, chain: list[Block]) -> None:
    with Holdings(disk.files.directory) as holdings:
        holdings.pin([chain[1].key])
    assert {row.key for row in disk.index.rows() if row.is_pinned} == {chain[1].key}
    disk.close()
    (disk.files.directory / INDEX_NAME).write_bytes(b"noise" * 1000)
    with Holdings(disk.files.directory) as holdings:
        assert {row.key for row in holdings.index.rows()} == {block.key for block in chain}
        assert {row.key for row in holdings.index.rows() if row.is_pinned} == {chain[1].key}
        holdings.unpin([chain[1].key, chain[2].key])
        assert not any(row.is_pinned for row in holdings.index.rows())
    assert Pins(disk.files.directory).all() == set()


def test_a_block_that_is_gone_cannot_be_pinned(disk: DiskTier, chain: list[Block]) -> None:
    with Holdings(disk.files.directory) as holdings, pytest.raises(KeyUnknown):
        holdings.pin([chain[0].key, b"\0" * 32])
    assert Pins(disk.files.directory).all() == {chain[0].key}


def test_files_that_the_index_does_not_know_are_known_again(disk: DiskTier, chain: list[Block]) -> None:
    disk.index.delete([chain[2].key])
    with Holdings(disk.files.directory) as holdings:
        assert holdings.index.get(chain[2].key) is None
        holdings.reconcile()
        assert holdings.index.get(chain[2].key) is not None


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheUnwritable, match="file"), Holdings(tmp_path / "file" / "cache"):
        pass


def test_a_store_forgets_what_was_deleted_or_everything(store: Store) -> None:
    chain, other = make_chain([1, 2], [3]), make_block([4])
    for block in (*chain, other):
        store.save(block).result(timeout=10)
    found = survey(store.directory)
    with Holdings(store.directory) as holdings:
        holdings.let_go(found.removable(found.rows.keys()))
    assert store.forget([chain[1].key, b"\0" * 32]) == 1
    assert store.find(chain[1].key) is None
    assert store.find(chain[0].key) is not None
    assert store.forget() == 2
    assert store.find(chain[0].key) is store.find(other.key) is None
