"""Why a block is not there, and in what two roots differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cache.samples import OTHER_ROOT, ROOT, make_block, make_chain
from msgspec.structs import replace

from erllama_cache.disk.difference import Difference
from erllama_cache.disk.origins import AdapterOrigin, Origin
from erllama_cache.keys import BlockKind, RootRecord
from erllama_cache.misses import CutElsewhere, Departed, Diverged, Elsewhere, Generated, Wanted, why_missing
from erllama_cache.store import Store

RECORD = RootRecord(
    format_version=1,
    fingerprint="a" * 64,
    type_k="f16",
    type_v="f16",
    flash_attention="auto",
    rope={},
    block_tokens=4,
    build="b1",
    backend="cpu",
    threads=2,
)
HERE = Origin(model="demo", model_fingerprint="b" * 64, record=RECORD)
PIRATE = AdapterOrigin("pirate.gguf", "c" * 64, 0.5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "cache", ram_bytes=0, disk_bytes=1 << 24) as opened:
        yield opened


def keep(store: Store, *tokens: list[int], root: bytes = ROOT, kind: BlockKind = BlockKind.PREFILL) -> list[bytes]:
    chain = make_chain(*tokens, root=root, kind=kind)
    for block in chain:
        store.save(block)
    store.flush()
    return [block.key for block in chain]


def wanted(tokens: list[int], *, start: int = 0, end: int = 4, parent: bytes = ROOT) -> Wanted:
    return Wanted(root=ROOT, origin=HERE, parent=parent, tokens=tokens, start=start, end=end)


def test_nothing_is_known_of_what_begins_like_nothing_else(store: Store) -> None:
    keep(store, [9, 9, 9, 9])
    assert why_missing(store, wanted([1, 2, 3, 4])) is None


def test_the_child_that_is_most_like_tells_where_the_tokens_part(store: Store) -> None:
    keep(store, [1, 2, 8, 8])
    keep(store, [1, 2, 3, 9])
    keep(store, [1, 7, 7, 7])
    assert why_missing(store, wanted([1, 2, 3, 4])) == Diverged(3, [9])


def test_below_the_root_any_child_tells_what_is_there_instead(store: Store) -> None:
    first, _ = keep(store, [1, 2, 3, 4], [5, 6])
    assert why_missing(store, wanted([1, 2, 3, 4, 9], start=4, end=5, parent=first)) == Diverged(4, [5, 6])


def test_the_same_tokens_in_longer_or_shorter_blocks_are_cut_elsewhere(store: Store) -> None:
    keep(store, [1, 2, 3, 4])
    assert why_missing(store, wanted([1, 2, 3], end=3)) == CutElsewhere(4)
    assert why_missing(store, wanted([1, 2, 3, 4, 5, 6], end=6)) == CutElsewhere(4)


def test_generated_tokens_are_told_from_read_ones(store: Store) -> None:
    keep(store, [1, 2], [3, 4], kind=BlockKind.GENERATED)
    assert why_missing(store, wanted([1, 2, 3, 4, 5])) == Generated(4)


def test_a_departed_block_is_remembered_before_anything_else(store: Store) -> None:
    (key,) = keep(store, [1, 2, 3, 4])
    keep(store, [1, 2, 3, 9])
    store._disk.index.delete_leaves([key], "evicted", now=7.0)
    assert why_missing(store, wanted([1, 2, 3, 4])) == Departed(7.0, "evicted")


def test_another_root_is_named_by_what_sets_it_apart(store: Store) -> None:
    keep(store, [1, 2, 3, 4], [5], root=OTHER_ROOT)
    store.note_origin(OTHER_ROOT, replace(HERE, adapters=[PIRATE]))
    store.flush()
    found = why_missing(store, wanted([1, 2, 3, 4, 5, 6]))
    assert found == Elsewhere(5, (Difference("adapter", "pirate.gguf=0.5", "none"),))


def test_what_is_private_is_looked_for_under_its_own_root_alone(store: Store) -> None:
    keep(store, [1, 2, 3, 4], root=OTHER_ROOT)
    store.note_origin(OTHER_ROOT, HERE)
    store.flush()
    private = Wanted(root=ROOT, origin=None, parent=ROOT, tokens=[1, 2, 3, 4], start=0, end=4)
    assert why_missing(store, private) is None


def test_children_in_ram_count_as_those_on_disk(tmp_path: Path) -> None:
    with Store(tmp_path / "cache", ram_bytes=1 << 20, disk_bytes=1 << 24) as store:
        store.save(make_block([1, 2, 9, 9]), to_disk=False)
        assert why_missing(store, wanted([1, 2, 3, 4])) == Diverged(2, [9, 9])


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (HERE, []),
        (replace(HERE, model="another name"), []),
        (replace(HERE, model_fingerprint="d" * 64), [Difference("model", "demo (dddddddd)", "demo (bbbbbbbb)")]),
        (
            replace(HERE, model="big", model_fingerprint="d" * 64, record=replace(RECORD, type_v="q8_0", threads=4)),
            [
                Difference("model", "big", "demo"),
                Difference("kv type", "f16/q8_0", "f16"),
                Difference("threads", "4", "2"),
            ],
        ),
        (
            replace(HERE, record=replace(RECORD, rope={"base": 1e6})),
            [Difference("rope", "base=1e+06", "the model's own")],
        ),
    ],
    ids=["the same", "renamed", "another file", "several", "rope"],
)
def test_origins_differ_in_what_changes_bits(there: Origin, expected: list[Difference]) -> None:
    assert there.differences(HERE) == expected


def test_adapters_of_one_name_are_told_apart() -> None:
    ours = replace(HERE, adapters=[PIRATE])
    theirs = replace(HERE, adapters=[replace(PIRATE, sha256="d" * 64)])
    assert theirs.differences(ours) == [
        Difference("adapter", "pirate.gguf=0.5 (dddddddd)", "pirate.gguf=0.5 (cccccccc)")
    ]


def test_a_block_is_read_from_disk_though_memory_holds_another(tmp_path: Path) -> None:
    with Store(tmp_path / "cache", ram_bytes=1 << 20, disk_bytes=1 << 24) as store:
        block = make_block([1, 2])
        store.save(block).result(timeout=10)
        other = make_block([1, 2], payload_bytes=10)
        store._disk.files.write(other)
        read = store.load_from_disk(block.key)
        assert read is not None
        assert bytes(read.payload) == bytes(other.payload)
        held = store.load(block.key)
        assert held is block
