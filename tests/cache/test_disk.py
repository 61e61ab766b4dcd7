import errno
import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cache.samples import LOGITS, make_block, make_chain

from erllama_cache.block import HEADER_BYTES, Block
from erllama_cache.counters import Tally
from erllama_cache.disk.files import MAX_QUARANTINED_FILES
from erllama_cache.disk.index import INDEX_NAME
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.tier import DiskTier
from erllama_cache.errors import CacheFull, CacheUnlockable, CacheUnwritable, WriteBudgetSpent
from erllama_cache.store import Store
from erllama_cache.writer import SaveOutcome

QUOTA = 1 << 20
BLOCK_FILE_BYTES = make_block([1]).file_bytes


def block_path(directory: Path, block: Block) -> Path:
    name = block.key.hex()
    return directory / "blocks" / name[:2] / f"{name}.kv"


def files(directory: Path) -> list[Path]:
    return sorted(path for path in (directory / "blocks").rglob("*") if path.is_file())


def reopened(directory: Path, quota: int = QUOTA, tally: Tally | None = None) -> DiskTier:
    tier = DiskTier(directory, quota, tally)
    tier.open()
    return tier


def test_files_and_folders_are_their_owners_alone(disk: DiskTier, directory: Path) -> None:
    disk.publish(make_block([1]))
    for path in (directory, *directory.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_directory_that_cannot_be_made_is_told_and_used_once_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    disk = reopened(tmp_path / "file" / "cache")
    assert "cannot be written: Not a directory" in caplog.text
    with pytest.raises(CacheUnwritable) as caught:
        disk.publish(make_block([1]))
    assert caught.value.hint
    assert disk.find(make_block([1]).key) is None
    (tmp_path / "file").unlink()
    assert disk.publish(make_block([1])) == BLOCK_FILE_BYTES
    disk.close()


@pytest.mark.parametrize("region", ["magic", "root", "checksum", "tokens", "logits", "payload", "end"])
def test_a_damaged_file_is_quarantined_and_the_next_load_is_a_miss(directory: Path, region: str) -> None:
    tally = Tally()
    disk = reopened(directory, tally=tally)
    block = make_block([1, 2, 3, 4], logits=LOGITS)
    disk.publish(block)
    tokens, logits = HEADER_BYTES, HEADER_BYTES + 16
    position = {"magic": 0, "root": 20, "checksum": tokens - 1, "tokens": tokens, "logits": logits}.get(region)
    position = logits + len(LOGITS) + 10 if region == "payload" else -1 if position is None else position
    path = block_path(directory, block)
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)

    assert disk.load(block.key) is None
    assert disk.load(block.key) is None
    assert tally.peek() == {"quarantined": 1}
    assert not path.exists()
    assert len(list((directory / "quarantine").iterdir())) == 1
    assert disk.totals().rows == 0
    disk.close()


@pytest.mark.parametrize("change", [-1, 1, -1000])
def test_a_file_of_the_wrong_length_is_quarantined_at_the_next_start(
    disk: DiskTier, directory: Path, change: int
) -> None:
    block = make_block([1])
    disk.publish(block)
    path = block_path(directory, block)
    data = path.read_bytes()
    path.write_bytes(data[:change] if change < 0 else data + b"\0")
    tally = Tally()
    later = reopened(directory, tally=tally)
    assert (later.totals().rows, tally.peek()) == (0, {"quarantined": 1})
    later.close()


def test_a_block_under_another_name_is_not_that_block(disk: DiskTier, directory: Path) -> None:
    one, other = make_block([1]), make_block([2])
    disk.publish(one)
    disk.publish(other)
    block_path(directory, one).replace(block_path(directory, other))
    assert disk.load(other.key) is None
    assert disk.load(one.key) is None
    assert disk.totals().rows == 0


def test_quarantine_keeps_only_the_newest_few(disk: DiskTier, directory: Path) -> None:
    for number in range(MAX_QUARANTINED_FILES + 3):
        block = make_block([number])
        disk.publish(block)
        assert disk.quarantine(block.key)
    assert len(list((directory / "quarantine").iterdir())) == MAX_QUARANTINED_FILES


def test_a_file_that_vanished_is_forgotten(disk: DiskTier, directory: Path) -> None:
    block = make_block([1])
    disk.publish(block)
    block_path(directory, block).unlink()
    assert disk.load(block.key) is None
    assert disk.totals().rows == 0
    assert disk.publish(block) == block.file_bytes


def test_rows_without_a_file_are_dropped_and_files_without_a_row_adopted_at_start(
    disk: DiskTier, directory: Path
) -> None:
    lost, orphan = make_block([1]), make_block([2], logits=LOGITS)
    disk.publish(lost)
    disk.publish(orphan)
    block_path(directory, lost).unlink()
    disk.index.delete([orphan.key])
    later = reopened(directory)
    assert later.find(lost.key) is None
    adopted = later.find(orphan.key)
    assert adopted is not None
    assert adopted.has_logits
    later.close()


def test_strangers_among_the_blocks_go_to_quarantine(disk: DiskTier, directory: Path) -> None:
    disk.publish(make_block([1]))
    (files(directory)[0].parent / "holiday.jpg").write_bytes(b"not a block")
    later = reopened(directory)
    assert len(files(directory)) == 1
    assert later.totals().rows == 1
    later.close()


def test_the_least_recently_used_leaf_goes_first(directory: Path) -> None:
    disk = reopened(directory, 3 * BLOCK_FILE_BYTES)
    one, two, three, four = (make_block([number]) for number in range(4))
    for block in (one, two, three):
        disk.publish(block)
    disk.index.touch([one.key, three.key], now=time.time())
    disk.publish(four)
    assert [disk.find(block.key) is not None for block in (one, two, three, four)] == [True, False, True, True]
    assert len(files(directory)) == 3
    disk.close()


def test_neither_a_parent_nor_a_block_in_use_makes_room(directory: Path) -> None:
    disk = reopened(directory, 2 * BLOCK_FILE_BYTES)
    parent, child = make_chain([1], [2])
    used = make_block([3])
    disk.publish(parent)
    disk.publish(used)
    with pytest.raises(CacheFull):
        disk.publish(child, in_use={used.key})
    assert disk.publish(child) == child.file_bytes
    assert disk.find(parent.key)
    assert not disk.find(used.key)
    disk.close()


def test_the_quota_is_enforced_at_start_and_counts_foreign_files(disk: DiskTier, directory: Path) -> None:
    chain = make_chain([1], [2], [3], [4])
    for block in chain:
        disk.publish(block)
    disk.index.delete(block.key for block in chain)
    (directory / "holiday.jpg").write_bytes(b"x" * BLOCK_FILE_BYTES)
    smaller = reopened(directory, 3 * BLOCK_FILE_BYTES)
    assert [smaller.find(block.key) is not None for block in chain] == [True, True, False, False]
    assert len(files(directory)) == 2
    smaller.close()


@pytest.mark.parametrize("step", ["open", "fdatasync", "replace", "fsync"])
def test_a_full_disk_at_any_step_leaves_neither_temporary_file_nor_row(
    disk: DiskTier, directory: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    block = make_block([1])
    disk.publish(block)
    disk.index.delete([block.key])
    block_path(directory, block).unlink()

    def fail(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(OSError, match="No space left"):
            disk.publish(block)
    assert files(directory) == []
    assert disk.totals().rows == 0
    assert disk.publish(block) == block.file_bytes


def test_a_failed_replacement_leaves_the_old_block_alone(disk: DiskTier, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = make_block([1])
    disk.publish(bare)

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="No space left"):
            disk.publish(make_block([1], logits=LOGITS))
    assert disk.load(bare.key) == bare


def test_what_is_written_in_a_day_can_be_bounded(directory: Path) -> None:
    disk = DiskTier(directory, QUOTA, write_bytes_per_day=2 * BLOCK_FILE_BYTES)
    disk.open()
    for number in range(2):
        disk.publish(make_block([number]))
    with pytest.raises(WriteBudgetSpent):
        disk.publish(make_block([2]))
    assert disk.totals().rows == 2
    disk.close()


def test_a_directory_without_working_locks_is_refused_by_name(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    for flock in (refuse, lambda *_: None):
        monkeypatch.setattr("fcntl.flock", flock)
        with pytest.raises(CacheUnlockable, match=str(directory)):
            DiskTier(directory, QUOTA).open()


def test_pins_survive_the_index(disk: DiskTier, directory: Path) -> None:
    pinned, other = make_block([1]), make_block([2])
    disk.publish(pinned)
    disk.publish(other)
    Pins(directory).add([pinned.key])
    disk.close()
    (directory / INDEX_NAME).unlink()
    later = reopened(directory, BLOCK_FILE_BYTES)
    assert (later.find(pinned.key) is not None, later.find(other.key) is not None) == (True, False)
    with pytest.raises(CacheFull):
        later.publish(other)
    later.close()


def test_a_pin_whose_file_is_gone_ends_at_the_next_start(disk: DiskTier, directory: Path) -> None:
    block = make_block([1])
    disk.publish(block)
    disk.index.pin([block.key], pinned=True)
    later = reopened(directory)
    assert later.index.pinned() == set()
    later.close()


def test_totals_are_counted_again_at_start(disk: DiskTier, directory: Path) -> None:
    disk.publish(make_block([1]))
    with sqlite3.connect(directory / INDEX_NAME) as db:
        db.execute("UPDATE totals SET rows = 99, bytes = 1 << 40")
    db.close()
    later = reopened(directory)
    assert (later.totals().rows, later.totals().file_bytes) == (1, BLOCK_FILE_BYTES)
    later.close()


def test_the_row_comes_after_the_file_is_safe(disk: DiskTier, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = make_block([1])
    seen: list[tuple[str, bool, bool]] = []

    def watch(name: str) -> None:
        real = getattr(os, name)

        def wrapper(*args: object) -> object:
            seen.append((name, block_path(directory, block).exists(), disk.find(block.key) is not None))
            return real(*args)

        monkeypatch.setattr(os, name, wrapper)

    disk.publish(make_block([2]))
    block_path(directory, block).parent.mkdir(exist_ok=True)
    for name in ("fdatasync", "replace", "fsync"):
        watch(name)
    disk.publish(block)
    assert seen == [("fdatasync", False, False), ("replace", False, False), ("fsync", True, False)]
    assert disk.find(block.key)


def test_temporary_files_of_dead_writers_go_and_those_of_living_ones_stay(disk: DiskTier, directory: Path) -> None:
    disk.publish(make_block([1]))
    folder = files(directory)[0].parent
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {pid: folder / f".{'0' * 64}.{pid}.00000000.tmp" for pid in (dead.pid, os.getpid())}
    for path in names.values():
        path.write_bytes(b"half a block")
    old = folder / f".{'1' * 64}.{os.getpid()}.00000000.tmp"
    old.write_bytes(b"left by a namesake before the last reboot")
    os.utime(old, (0, 0))
    reopened(directory).close()
    assert [names[dead.pid].exists(), names[os.getpid()].exists(), old.exists()] == [False, True, False]


def test_processes_that_publish_the_same_blocks_leave_one_row_each(directory: Path) -> None:
    program = """
import sys
from pathlib import Path
from types import SimpleNamespace
from cache.samples import make_chain
from erllama_cache.disk.tier import DiskTier
disk = DiskTier(Path(sys.argv[1]), 1 << 20)
disk.open()
for block in make_chain(*([number] for number in range(20))):
    disk.publish(block)
disk.close()
"""
    command = [sys.executable, "-c", program, str(directory)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    disk = reopened(directory)
    chain = make_chain(*([number] for number in range(20)))
    assert disk.totals().rows == len(files(directory)) == 20
    assert [disk.load(block.key) for block in chain] == chain
    disk.close()


def test_a_broken_index_means_less_is_found_and_nothing_is_raised(disk: DiskTier) -> None:
    block = make_block([1])
    disk.publish(block)
    disk.close()
    assert disk.find(block.key) is None
    assert disk.shapes(block.parent) == set()
    assert disk.totals().rows == 0


def test_on_a_full_disk_the_tier_opens_and_holds_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("erllama_cache.disk.index.sqlite3.connect", fail)
    with Store(directory, ram_bytes=QUOTA, disk_bytes=QUOTA) as store:
        block = make_block([1])
        assert store.save(block).result(30) is SaveOutcome.DROPPED
        assert store.load(block.key) == block
        assert store.stats().counters.saves_dropped == 1
