import errno
import logging
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from cache.samples import LOGITS, make_block

from erllama_cache.block import Block
from erllama_cache.counters import Tally
from erllama_cache.disk.tier import DiskTier
from erllama_cache.stats import read_stats
from erllama_cache.store import Store
from erllama_cache.writer import SaveOutcome, Writer

TIMEOUT = 30.0


class Gate:
    """Holds back every publish until it is opened."""

    def __init__(self, disk: DiskTier, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_busy = threading.Event()
        self.is_open = threading.Event()
        self._publish = disk.publish
        monkeypatch.setattr(disk, "publish", self)

    def __call__(self, block: Block, in_use: Collection[bytes] = ()) -> int:
        self.is_busy.set()
        assert self.is_open.wait(TIMEOUT)
        return self._publish(block, in_use)


@pytest.fixture
def gate(disk: DiskTier, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(disk, monkeypatch)


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def writer(disk: DiskTier, gate: Gate, tally: Tally) -> Iterator[Writer]:
    started = Writer(disk, tally, queue_bytes=2500)
    started.start()
    yield started
    gate.is_open.set()
    started.close(TIMEOUT)


def test_a_saved_block_is_a_line_of_the_log(disk: DiskTier, tally: Tally, caplog: pytest.LogCaptureFixture) -> None:
    block = make_block([1, 2, 3])
    writer = Writer(disk, tally, queue_bytes=2500)
    writer.start()
    with caplog.at_level(logging.INFO):
        assert writer.submit(block).result(TIMEOUT) == SaveOutcome.SAVED
        writer.close(TIMEOUT)
    (line,) = [message for message in caplog.messages if message.startswith("block saved: ")]
    assert line.startswith(
        f"block saved: key={block.key.hex()} reason=cold tokens=3 bytes={disk.totals().file_bytes} ms="
    )


def test_a_full_queue_drops_and_counts(writer: Writer, gate: Gate, disk: DiskTier) -> None:
    futures = [writer.submit(make_block([number])) for number in range(4)]
    assert [future.result(0) for future in futures[2:]] == [SaveOutcome.DROPPED] * 2
    gate.is_open.set()
    assert [future.result(TIMEOUT) for future in futures[:2]] == [SaveOutcome.SAVED] * 2
    assert writer.flush(TIMEOUT)
    assert disk.index.counters() == {"saves_cold": 2, "saves_dropped": 2, "bytes_written": disk.totals().file_bytes}


def test_one_who_waits_gets_room(writer: Writer, gate: Gate) -> None:
    for number in range(2):
        writer.submit(make_block([number]))
    waiting = threading.Timer(0.0, gate.is_open.set)
    waiting.start()
    assert writer.submit(make_block([9]), wait=True).result(TIMEOUT) is SaveOutcome.SAVED
    waiting.join()


def test_an_empty_queue_takes_even_a_block_larger_than_its_bound(writer: Writer, gate: Gate) -> None:
    gate.is_open.set()
    assert writer.submit(make_block([1], payload_bytes=5000)).result(TIMEOUT) is SaveOutcome.SAVED


def test_a_queued_block_can_be_read_until_it_is_on_disk(writer: Writer, gate: Gate, disk: DiskTier) -> None:
    block = make_block([1])
    future = writer.submit(block)
    assert gate.is_busy.wait(TIMEOUT)
    assert writer.pending(block.key) is block
    assert writer.shapes(block.parent) == {(block.kind, 1)}
    gate.is_open.set()
    future.result(TIMEOUT)
    assert writer.pending(block.key) is None
    assert disk.find(block.key)


def test_the_same_block_twice_is_written_once(writer: Writer, gate: Gate) -> None:
    bare, full = make_block([1]), make_block([1], logits=LOGITS)
    first = writer.submit(bare)
    assert writer.submit(bare) is first
    second = writer.submit(full)
    assert second is not first
    gate.is_open.set()
    assert [first.result(TIMEOUT), second.result(TIMEOUT)] == [SaveOutcome.SAVED] * 2
    assert writer.submit(bare).result(TIMEOUT) is SaveOutcome.PRESENT


def test_a_forgotten_block_is_dropped_but_not_one_being_written(writer: Writer, gate: Gate) -> None:
    first, second = make_block([1]), make_block([2])
    written, dropped = writer.submit(first), writer.submit(second)
    assert gate.is_busy.wait(TIMEOUT)
    assert not writer.forget(first.key)
    assert writer.forget(second.key)
    assert dropped.result(0) is SaveOutcome.DROPPED
    gate.is_open.set()
    assert written.result(TIMEOUT) is SaveOutcome.SAVED


def test_closing_writes_what_is_queued_and_then_takes_no_more(writer: Writer, gate: Gate) -> None:
    futures = [writer.submit(make_block([number])) for number in range(2)]
    gate.is_open.set()
    assert writer.close(TIMEOUT)
    assert [future.result(0) for future in futures] == [SaveOutcome.SAVED] * 2
    assert writer.submit(make_block([9]), wait=True).result(0) is SaveOutcome.DROPPED
    assert writer.flush(TIMEOUT)


def test_closing_in_a_hurry_drops_what_waits(writer: Writer, gate: Gate) -> None:
    first, second = writer.submit(make_block([1])), writer.submit(make_block([2]))
    assert gate.is_busy.wait(TIMEOUT)
    assert not writer.close(0)
    assert second.result(0) is SaveOutcome.DROPPED
    gate.is_open.set()
    assert first.result(TIMEOUT) is SaveOutcome.SAVED


def test_one_cause_is_logged_once_however_many_saves_fail(
    writer: Writer, gate: Gate, disk: DiskTier, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk, "publish", fail)
    gate.is_open.set()
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            assert writer.submit(make_block([number])).result(TIMEOUT) is SaveOutcome.DROPPED
    assert [record.getMessage() for record in caplog.records] == [
        "blocks are not being saved: [Errno 28] No space left on device"
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_dies_of_a_defect_leaves_nobody_waiting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_arguments: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Writer, "_publish", die)
    assert store.save(make_block([1])).result(TIMEOUT) is SaveOutcome.DROPPED
    assert store.save(make_block([2])).result(TIMEOUT) is SaveOutcome.DROPPED
    assert store.flush(TIMEOUT)


def test_what_a_save_counts_is_written_down_when_it_is_done(store: Store, directory: Path) -> None:
    store.tally.add("misses")
    store.save(make_block([1])).result(TIMEOUT)
    counters = read_stats(directory, 0).counters
    assert (counters.misses, counters.saves_cold) == (1, 1)
