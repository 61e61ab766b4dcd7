import os
import sqlite3
from pathlib import Path

import msgspec
import pytest
from cache.samples import OTHER_ROOT, ROOT, make_block, make_chain
from cache.test_keys import RECORD

from erllama_cache.block import Block
from erllama_cache.disk.index import Index
from erllama_cache.disk.origins import Origin
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.row import Row
from erllama_cache.disk.tier import DiskTier
from erllama_cache.tending.garbage import Heap, collect, find_garbage
from erllama_cache.tending.survey import survey
from erllama_cache.tending.verification import verify

QUOTA = 1 << 20
DEAD = 2**22 + 1
"""No process has this number."""


@pytest.fixture
def chain(disk: DiskTier) -> list[Block]:
    chain = make_chain([1, 2], [3], [4])
    for block in chain:
        disk.publish(block)
    return chain


def litter(disk: DiskTier, chain: list[Block]) -> None:
    """One of each kind."""
    folder = disk.files.path(chain[0].key).parent
    (folder / f".{chain[0].key.hex()}.{DEAD}.0123abcd.tmp").write_bytes(b"x" * 10)
    (disk.files.directory / "quarantine" / "1-old.kv").write_bytes(b"x" * 20)
    orphan = make_block([7], make_block([6]))
    disk.files.write(orphan)
    disk.index.insert([Row.of(orphan, used=1.0, label="")], may_be_orphans=True)
    unindexed, missing = make_block([8]), make_block([9])
    disk.files.write(unindexed)
    disk.publish(missing)
    disk.files.path(missing.key).unlink()
    for root in (ROOT, OTHER_ROOT):
        disk.origins.note(root, Origin(model="demo", model_fingerprint="00", record=RECORD))
        os.utime(disk.files.directory / "roots" / f"{root.hex()}.json", (1, 1))
    Pins(disk.files.directory).add([b"\1" * 32, chain[2].key])


def test_each_kind_is_found_counted_and_gone(disk: DiskTier, chain: list[Block]) -> None:
    directory = disk.files.directory
    litter(disk, chain)
    size = chain[1].file_bytes
    found = find_garbage(directory, QUOTA)
    assert (found.unfinished, found.quarantined) == (Heap(1, 10), Heap(1, 20))
    assert (found.unreachable, found.unindexed, found.missing) == (Heap(1, size), Heap(1, size), 1)
    assert (found.roots.count, found.pins, found.over_quota) == (1, Heap(1), Heap())
    assert find_garbage(directory, QUOTA) == found, "looking changes nothing"

    collected = collect(directory, QUOTA)
    assert msgspec.structs.replace(collected, index_bytes=0) == msgspec.structs.replace(found, index_bytes=0)
    again = find_garbage(directory, QUOTA)
    assert (again.freed_bytes, again.missing, again.unindexed.count, again.pins.count) == (0, 0, 0, 0)
    assert verify(directory).is_clean
    assert survey(directory).orphans == []
    assert {path.stem for path in (directory / "roots").iterdir()} == {ROOT.hex()}
    assert Pins(directory).all() == {chain[2].key}


def test_what_is_beyond_the_quota_goes_but_nothing_pinned(disk: DiskTier, chain: list[Block]) -> None:
    directory, size = disk.files.directory, chain[1].file_bytes
    other = make_block([9])
    disk.publish(other)
    Pins(directory).add([chain[0].key])
    disk.index.pin([chain[0].key], pinned=True)
    quota = 2 * size + 100
    found = find_garbage(directory, quota)
    assert found.over_quota.count == 2
    assert collect(directory, quota).over_quota == found.over_quota
    assert disk.totals().rows == 2
    collect(directory, 0)
    assert set(survey(directory).rows) == {chain[0].key}


def test_a_root_just_written_down_stays(disk: DiskTier) -> None:
    disk.origins.note(ROOT, Origin(model="demo", model_fingerprint="00", record=RECORD))
    assert collect(disk.files.directory, QUOTA).roots == Heap()
    assert survey(disk.files.directory).origins


def test_the_index_gives_its_room_back(disk: DiskTier) -> None:
    for number in range(300):
        disk.publish(make_block([number]))
    found = survey(disk.files.directory)
    with_all = disk.index.unused_bytes()
    disk.index.delete(found.rows)
    for key in found.rows:
        disk.files.remove(key)
    assert disk.index.unused_bytes() > with_all
    assert collect(disk.files.directory, QUOTA).index_bytes > 0
    assert disk.index.unused_bytes() == 0


def test_an_index_that_is_being_read_is_compacted_another_time(
    disk: DiskTier, chain: list[Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    def compact(index: Index) -> None:
        raise index._unusable(sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr(Index, "compact", compact)
    litter(disk, chain)
    assert collect(disk.files.directory, QUOTA).unreachable.count == 1


def test_no_cache_has_no_garbage_and_none_is_made(tmp_path: Path) -> None:
    assert collect(tmp_path / "none", QUOTA).freed_bytes == 0
    assert not (tmp_path / "none").exists()
