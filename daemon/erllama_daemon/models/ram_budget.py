"""The RAM that the tiers of all workers share, and how it gives way when memory is short."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from erllama_daemon import frames, memory
from erllama_daemon.models.worker_process import WorkerProcess

log = logging.getLogger(__name__)

WATCH_PERIOD_S = 5.0
STEPS = 16
"""A budget smaller than this part of the whole is none, and the first that is given back."""


class RamBudget:
    """One budget in equal shares: all of `whole_bytes`, or less while memory is short. All calls from the event loop.

    `workers` are those that live, `free_bytes` is the memory that is left, None if that is not known, and `ask` gives
    a worker's status, or None if it does not answer in time.
    """

    def __init__(
        self,
        whole_bytes: int,
        workers: Callable[[], list[WorkerProcess]],
        free_bytes: Callable[[], int | None],
        ask: Callable[[WorkerProcess], Awaitable[frames.Status | None]],
        period_s: float = WATCH_PERIOD_S,
    ) -> None:
        self._whole_bytes = whole_bytes
        self._bytes = whole_bytes
        self._workers = workers
        self._free_bytes = free_bytes
        self._ask = ask
        self._period_s = period_s
        self._timer: asyncio.TimerHandle | None = None

    @property
    def bytes(self) -> int:
        """What all workers together may hold now."""
        return self._bytes

    def resize(self, whole_bytes: int) -> None:
        """Another whole; memory that is short stays so."""
        is_whole, self._whole_bytes = self._bytes == self._whole_bytes, whole_bytes
        self._set(whole_bytes if is_whole else min(self._bytes, whole_bytes), "the configuration changed")

    def share_of_next(self) -> int:
        """What each worker may hold, once there is one more."""
        return self._bytes // (len(self._workers()) + 1)

    def announce(self, *started: WorkerProcess) -> None:
        """Tells every worker its share, those included that were just started; watches as long as one lives.

        A worker lets go of what is above its share at once.
        """
        workers = [*self._workers(), *started]
        for worker in workers:
            worker.limit_ram(self._bytes // len(workers))
        if self._timer is None and workers:
            self._timer = asyncio.get_running_loop().call_later(self._period_s, self._watch)

    async def give_up(self, missing_bytes: int) -> None:
        """Makes the workers let go of at least this much, or of all they hold; returns when they have.

        A worker that does not say so within the time for a status is not waited for.
        """
        held = sum(status.ram_bytes for status in await self._statuses())
        if self._set(min(self._bytes, max(0, held - missing_bytes)), "a model needs memory"):
            await self._statuses()

    def adjust(self) -> None:
        """Takes half of the budget back when memory is short, or gives a step of it when there is plenty again."""
        free, low = self._free_bytes(), memory.low_bytes()
        if free is None:
            return
        step = max(1, self._whole_bytes // STEPS)
        if free < low:
            half = self._bytes // 2
            self._set(half if half >= step else 0, "memory is short")
        elif free >= 2 * low:
            # Never more than what leaves enough, or the next look would take it back.
            more = min(max(self._bytes, step), free - low)
            self._set(min(self._whole_bytes, self._bytes + more), "memory is free again")

    def _watch(self) -> None:
        self._timer = None
        if self._workers():
            self._timer = asyncio.get_running_loop().call_later(self._period_s, self._watch)
            self.adjust()

    def _set(self, ram_bytes: int, reason: str) -> bool:
        """Whether that was a change."""
        if ram_bytes == self._bytes:
            return False
        log.info("%s: ram_bytes=%d, before %d of %d", reason, ram_bytes, self._bytes, self._whole_bytes)
        self._bytes = ram_bytes
        self.announce()
        return True

    async def _statuses(self) -> list[frames.Status]:
        """Those of the workers that can have something in RAM. Each has heeded what it was sent before."""
        ready = [worker for worker in self._workers() if worker.is_ready and not worker.is_stopping]
        answers = await asyncio.gather(*map(self._ask, ready))
        return [status for status in answers if status is not None]
