"""The writer: one thread that makes blocks durable, so that the engine never waits for a disk."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum

from erllama_cache.block import Block
from erllama_cache.counters import Counters, Tally, today
from erllama_cache.disk.origins import Origin
from erllama_cache.disk.tier import DiskTier
from erllama_cache.errors import IndexUnusable, ParentGone
from erllama_cache.keys import BlockKind
from erllama_cache.ref import Child, Shape

MAX_QUEUED_BLOCKS = 1024
HOUSEKEEPING_INTERVAL_S = 1.0

_log = logging.getLogger(__name__)


class SaveOutcome(StrEnum):
    """What became of a block that was to be saved."""

    SAVED = "saved"
    PRESENT = "present"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    block: Block
    future: Future[SaveOutcome] = field(default_factory=Future)


class Writer:
    """A bounded queue before a disk tier, and the thread that empties it.

    Any thread may call any method. Callbacks of the futures run on the writer's thread. A save that fails,
    whatever the cause, is dropped and counted, and each cause is logged once. Hits and counters are written
    down here as well.
    """

    def __init__(self, disk: DiskTier, tally: Tally, *, queue_bytes: int) -> None:
        self._disk = disk
        self._tally = tally
        self._queue_bytes = queue_bytes
        self._changed = threading.Condition()
        # Held while counts move from the tally to the index, when they are in neither.
        self._counting = threading.Lock()
        self._jobs: deque[_Job] = deque()
        self._touched: list[bytes] = []
        self._origins: dict[bytes, Origin] = {}
        self._held: Counter[bytes] = Counter()
        self._flushes_asked = 0
        self._flushes_done = 0
        self._is_closing = False
        self._has_ended = False
        self._causes: set[tuple[type[Exception], int | None]] = set()
        self._thread = threading.Thread(target=self._run, name="erllama-cache-writer", daemon=True)

    def start(self) -> None:
        """Start the thread. What was submitted before waits for it."""
        self._thread.start()

    def submit(self, block: Block, *, wait: bool = False) -> Future[SaveOutcome]:
        """Queue the block. If the queue is full, wait for room, or drop the block at once unless `wait`.

        A block that is queued already, with as much in it, shares that one's future.
        """
        job = _Job(block)
        with self._changed:
            queued = self._queued(block.key)
            if queued is not None and (queued.block.has_logits or not block.has_logits):
                return queued.future
            if wait:
                self._changed.wait_for(lambda: self._is_closing or self._has_room(block))
            if not self._is_closing and self._has_room(block):
                self._jobs.append(job)
                self._changed.notify_all()
                return job.future
        self._drop(job)
        return job.future

    def pending(self, key: bytes) -> Block | None:
        """The block, if it is queued or being written."""
        with self._changed:
            job = self._queued(key)
            return job.block if job else None

    def keys(self) -> set[bytes]:
        """The keys of all blocks in the queue."""
        with self._changed:
            return {job.block.key for job in self._jobs}

    def shapes(self, parent: bytes) -> set[Shape]:
        """Kind and length of each block in the queue that extends `parent`."""
        with self._changed:
            blocks = [job.block for job in self._jobs if job.block.parent == parent]
            return {Shape(block.kind, block.n_tokens) for block in blocks}

    def generated(self, parent: bytes) -> list[Child]:
        """The blocks of generated tokens in the queue that extend `parent`, without their state."""
        with self._changed:
            blocks = [job.block for job in self._jobs if job.block.parent == parent]
        return [Child(block.kind, block.tokens) for block in blocks if block.kind is not BlockKind.PREFILL]

    def touch(self, keys: Iterable[bytes]) -> None:
        """Have a hit written down for each block, some time soon."""
        with self._changed:
            self._touched.extend(keys)

    def note_origin(self, root: bytes, origin: Origin) -> None:
        """Have it written down, some time soon, what a root was made from."""
        with self._changed:
            self._origins[root] = origin

    def hold(self, keys: Collection[bytes]) -> None:
        """Spare these blocks from making room for others, until they are released as often as held."""
        with self._changed:
            self._held.update(keys)

    def release(self, keys: Collection[bytes]) -> None:
        """End what `hold` began."""
        with self._changed:
            self._held -= Counter(keys)

    def forget(self, key: bytes) -> bool:
        """Drop the block if it still waits in the queue, and say whether it did."""
        with self._changed:
            job = self._queued(key)
            if job is None or job.future.running():
                return False
            self._jobs.remove(job)
            self._changed.notify_all()
        self._drop(job)
        return True

    def counters(self) -> tuple[Counters, int]:
        """The totals written down by every process, and this one's since then; and the bytes written today by all.

        May wait for one short write.
        """
        with self._counting:
            try:
                counted, written = self._disk.index.counters(), self._disk.index.written(today())
            except IndexUnusable:
                counted, written = {}, 0
            return Counters.of(counted, self._tally.peek()), written

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was submitted so far, and every count, is written; False after `timeout` seconds."""
        with self._changed:
            self._flushes_asked += 1
            asked = self._flushes_asked
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._flushes_done >= asked or self._has_ended, timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Take no more, write what is queued, end the thread. After `timeout` seconds drop the rest: False."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        with self._changed:
            rest = [job for job in self._jobs if not job.future.running()]
            self._jobs = deque(job for job in self._jobs if job not in rest)
        for job in rest:
            self._drop(job)
        return not self._thread.is_alive()

    def _queued(self, key: bytes) -> _Job | None:
        return next((job for job in reversed(self._jobs) if job.block.key == key), None)

    def _has_room(self, block: Block) -> bool:
        queued_bytes = sum(job.block.size for job in self._jobs)
        fits = len(self._jobs) < MAX_QUEUED_BLOCKS and queued_bytes + block.size <= self._queue_bytes
        # An empty queue takes any block: one larger than the bound would otherwise wait for ever.
        return fits or not self._jobs

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            # Also after a defect: nobody may wait for a thread that is gone.
            with self._changed:
                self._is_closing = self._has_ended = True
                rest, self._jobs = list(self._jobs), deque()
                self._changed.notify_all()
            for job in rest:
                self._drop(job)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, HOUSEKEEPING_INTERVAL_S)
                job = self._next_job()
                asked, is_closing = self._flushes_asked, self._is_closing
                in_use = {waiting.block.parent for waiting in self._jobs} | self._held.keys()
            # Before a save, so that what it evicts is not what was just used.
            self._housekeep()
            if job is not None:
                self._finish(job, in_use)
                continue
            with self._changed:
                self._flushes_done = asked
                self._changed.notify_all()
            if is_closing:
                return

    def _next_job(self) -> _Job | None:
        # A job is marked as running under the lock, so that nobody else settles its future any more.
        while self._jobs:
            if self._jobs[0].future.set_running_or_notify_cancel():
                return self._jobs[0]
            self._jobs.popleft()
        return None

    def _has_work(self) -> bool:
        return bool(self._jobs) or self._is_closing or self._flushes_asked > self._flushes_done

    def _finish(self, job: _Job, in_use: set[bytes]) -> None:
        outcome = self._publish(job.block, in_use)
        # Only now does it leave the queue: a reader finds it here until it can find it on disk.
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
            is_idle = not self._jobs
            self._changed.notify_all()
        if is_idle:
            # Before the future is done, so that whoever waited for it sees it counted.
            self._housekeep()
        job.future.set_result(outcome)

    def _publish(self, block: Block, in_use: set[bytes]) -> SaveOutcome:
        started = time.monotonic()
        try:
            written = self._disk.publish(block, in_use)
        except Exception as error:
            if not isinstance(error, ParentGone):  # what kept its parent out has been told
                self._log_once(error)
            self._tally.add("saves_dropped")
            return SaveOutcome.DROPPED
        if not written:
            return SaveOutcome.PRESENT
        self._tally.add(f"saves_{block.reason}")
        self._tally.add("bytes_written", written)
        _log.info(
            "block saved: key=%s reason=%s tokens=%d bytes=%d ms=%.0f",
            block.key.hex(),
            block.reason,
            block.n_tokens,
            written,
            (time.monotonic() - started) * 1000,
        )
        return SaveOutcome.SAVED

    def _drop(self, job: _Job) -> None:
        self._tally.add("saves_dropped")
        if job.future.running() or job.future.set_running_or_notify_cancel():
            job.future.set_result(SaveOutcome.DROPPED)

    def _housekeep(self) -> None:
        with self._changed:
            touched, self._touched = self._touched, []
            origins, self._origins = self._origins, {}
        try:
            with self._counting:
                self._write_counters()
            self._disk.index.touch(touched, time.time())
            for root, origin in origins.items():
                self._disk.origins.note(root, origin)
        except (IndexUnusable, OSError) as error:
            self._log_once(error)

    def _write_counters(self) -> None:
        counts = self._tally.drain()
        try:
            self._disk.index.add_counters(counts)
        except IndexUnusable:
            for name, count in counts.items():
                self._tally.add(name, count)
            raise

    def _log_once(self, error: Exception) -> None:
        cause = (type(error), getattr(error, "errno", None))
        if cause not in self._causes:
            self._causes.add(cause)
            _log.warning("blocks are not being saved: %s", error)
