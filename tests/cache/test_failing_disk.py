"""A disk that fails costs saves, which are counted; lookups go on, nothing is raised, each cause is told once."""

from __future__ import annotations

import errno
import logging
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cache.inspection import by_key, check
from cache.samples import LOGITS, ROOT, make_block, make_chain

from erllama_cache.block import Block
from erllama_cache.disk.files import BlockFiles, Head
from erllama_cache.disk.index import INDEX_NAME
from erllama_cache.disk.tier import DiskTier
from erllama_cache.errors import IndexUnusable
from erllama_cache.store import Store
from erllama_cache.writer import SaveOutcome

QUOTA = 1 << 20
TIMEOUT = 30.0
SAVED, DROPPED = SaveOutcome.SAVED, SaveOutcome.DROPPED

OLD = make_chain([1], [2])
NEW = [make_block([number]) for number in range(10, 14)]
LARGE = make_block([14], payload_bytes=900_000)


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    """A store that holds `OLD` on disk and nothing in memory."""
    with Store(directory, ram_bytes=0, disk_bytes=QUOTA) as opened:
        for block in OLD:
            assert opened.save(block).result(TIMEOUT) is SAVED
        yield opened


def outcomes(store: Store, blocks: list[Block] = NEW) -> set[SaveOutcome]:
    return {store.save(block).result(TIMEOUT) for block in blocks}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def is_found(store: Store) -> bool:
    refs = store.longest(ROOT, [1, 2])
    return [store.load(ref) for ref in refs] == OLD


def failing(code: int) -> Callable[..., int]:
    def fail(*_arguments: object, **_options: object) -> int:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO])
@pytest.mark.parametrize("step", ["open", "mkdir", "fdatasync", "replace", "fsync"])
def test_a_step_that_fails_drops_saves_and_says_so_once(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    step: str,
    code: int,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, step, failing(code))
        assert outcomes(store) == {DROPPED}
        assert is_found(store)
    assert len(warnings(caplog)) == 1
    assert os.strerror(code) in warnings(caplog)[0]
    assert store.stats().counters.saves_dropped == len(NEW)
    assert outcomes(store) == {SAVED}
    check(store._disk, by_key([*OLD, *NEW]))


def test_a_file_that_may_not_grow_is_as_a_full_disk(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE.file_bytes - 1, hard))
    try:
        assert store.save(LARGE).result(TIMEOUT) is DROPPED
        assert is_found(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(warnings(caplog)) == 1
    assert store.save(LARGE).result(TIMEOUT) is SAVED
    check(store._disk, by_key([*OLD, LARGE]))


def test_a_row_that_cannot_be_written_leaves_no_file(
    store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise IndexUnusable(path=directory / INDEX_NAME, reason="database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store._disk.index, "insert", fail)
        assert outcomes(store) == {DROPPED}
        assert len(list(directory.rglob("*.kv"))) == len(OLD)
    assert len(warnings(caplog)) == 1
    assert outcomes(store) == {SAVED}


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_files_that_cannot_be_read_are_misses_and_come_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", failing(code))
        assert [store.load(block.key) for block in (*OLD, *OLD)] == [None] * 4
        assert outcomes(store) == {SAVED}
    assert len(warnings(caplog)) == 1
    assert is_found(store)


def test_a_file_that_the_disk_cannot_read_keeps_no_other_from_being_found(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(directory, ram_bytes=0, disk_bytes=QUOTA) as store:
        assert outcomes(store, [*OLD, *NEW]) == {SAVED}
    (directory / INDEX_NAME).unlink()
    head = BlockFiles.head

    def read_head(files: BlockFiles, key: bytes) -> Head:
        if key == NEW[0].key:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return head(files, key)

    monkeypatch.setattr(BlockFiles, "head", read_head)
    with Store(directory, ram_bytes=0, disk_bytes=QUOTA) as store:
        assert [store.load(block.key) for block in (*OLD, *NEW)] == [*OLD, None, *NEW[1:]]
        assert store.stats().counters.quarantined == 1


def test_a_damaged_file_on_a_disk_that_takes_nothing_is_still_a_miss(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._disk.files.path(OLD[1].key).write_bytes(b"not a block")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing(errno.EROFS))
        assert store.load(OLD[1].key) is None
    assert [ref.key for ref in store.longest(ROOT, [1, 2])] == [OLD[0].key]


def test_a_damaged_file_is_set_aside_though_the_quarantine_was_removed(store: Store, directory: Path) -> None:
    (directory / "quarantine").rmdir()
    path = store._disk.files.path(OLD[1].key)
    path.write_bytes(b"not a block")
    assert store.load(OLD[1].key) is None
    assert not path.exists()
    assert store.stats().counters.quarantined == 1


def test_a_quota_of_one_byte_holds_nothing_and_answers_all_the_same(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Store(directory, ram_bytes=QUOTA, disk_bytes=QUOTA) as store:
        for block in OLD:
            store.save(block)
    with Store(directory, ram_bytes=QUOTA, disk_bytes=1) as store:
        assert store.stats().tiers.disk.rows == 0
        assert store.longest(ROOT, [1, 2]) == ()
        assert outcomes(store) == {DROPPED}
        assert [store.load(block.key) for block in NEW] == NEW
        assert store.stats().counters.saves_dropped == len(NEW)
        check(store._disk, {})
    assert len(warnings(caplog)) == 1


def test_when_the_clock_is_set_back_new_blocks_are_kept_and_old_ones_go(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = 3 * OLD[0].file_bytes
    with Store(directory, ram_bytes=0, disk_bytes=room) as store:
        for block in OLD:
            assert store.save(block).result(TIMEOUT) is SAVED
        a_year_ago = time.time() - 365 * 86_400.0
        monkeypatch.setattr(time, "time", lambda: a_year_ago)
        assert outcomes(store, NEW[:3]) == {SAVED}
        store.touch([NEW[0].key])
        assert outcomes(store, NEW[3:]) == {SAVED}
        assert store.load(NEW[0].key) == NEW[0]
    with Store(directory, ram_bytes=0, disk_bytes=room) as store:
        assert {NEW[0].key, NEW[3].key} <= check(store._disk, by_key(NEW))
    assert warnings(caplog) == []


def test_a_directory_that_was_removed_is_made_again_at_the_next_save(
    store: Store, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(directory)
    assert [store.load(block.key) for block in OLD] == [None, None]
    assert store.save(make_block([2], OLD[0])).result(TIMEOUT) is DROPPED  # without its parent
    assert outcomes(store) == {SAVED}
    assert [store.load(block.key) for block in NEW] == NEW
    check(store._disk, by_key(NEW))
    assert len(warnings(caplog)) == 1


def test_a_directory_that_another_process_made_again_is_shared_with_it(
    store: Store, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(directory)
    program = """
import sys
from pathlib import Path
from cache.samples import make_block
from erllama_cache.disk.files import BlockFiles, Head
from erllama_cache.disk.tier import DiskTier
disk = DiskTier(Path(sys.argv[1]), 1 << 20)
disk.open()
disk.publish(make_block([10]))
disk.close()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", program, str(directory)], env=environment, check=True)
    assert [store.save(block).result(TIMEOUT) for block in NEW[1:]] == [SAVED] * 3
    assert [store.load(block.key) for block in NEW] == NEW
    check(store._disk, by_key(NEW))
    assert len(warnings(caplog)) == 1


def test_a_directory_that_cannot_be_made_again_drops_saves_until_it_can(store: Store, directory: Path) -> None:
    shutil.rmtree(directory)
    directory.write_text("in the way")
    assert outcomes(store) == {DROPPED}
    assert store.longest(ROOT, [1, 2]) == ()
    assert store.stats().tiers.disk.rows == 0
    directory.unlink()
    assert outcomes(store) == {SAVED}
    check(store._disk, by_key(NEW))
    assert store.stats().counters.saves_dropped == len(NEW)


@pytest.mark.parametrize("loss", ["deleted", "noise"])
def test_an_index_that_breaks_while_in_use_is_rebuilt_while_in_use(store: Store, directory: Path, loss: str) -> None:
    path = directory / INDEX_NAME
    path.unlink() if loss == "deleted" else path.write_bytes(b"noise" * 30_000)
    store.longest(ROOT, [1, 2])
    store.save(NEW[0]).result(TIMEOUT)
    assert {store.save(block).result(TIMEOUT) for block in NEW[1:]} == {SAVED}
    store.save(NEW[0]).result(TIMEOUT)
    assert is_found(store)
    check(store._disk, by_key([*OLD, *NEW]))


def test_a_closed_tier_does_not_come_back(disk: DiskTier, directory: Path) -> None:
    disk.close()
    shutil.rmtree(directory)
    with pytest.raises(IndexUnusable):
        disk.publish(NEW[0])
    assert not directory.exists()


def test_logits_that_cannot_be_added_leave_the_block_as_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    full = make_block([1], logits=LOGITS)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing(errno.ENOSPC))
        assert store.save(full).result(TIMEOUT) is DROPPED
    assert store.load(full.key) == OLD[0]
    assert store.save(full).result(TIMEOUT) is SAVED
    assert store.load(full.key) == full
