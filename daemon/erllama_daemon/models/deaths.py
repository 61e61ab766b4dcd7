"""Which requests were running when a worker died: one that kills it again and again is not tried for ever."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from erllama_daemon import frames
from erllama_daemon.errors import RequestKillsWorker
from erllama_daemon.models.worker_process import Request

WINDOW_S = 60.0
LIMIT = 3


class Deaths:
    """The deaths of one model's workers within the last minute. `clock` gives seconds and never goes back.

    A request is known by its content. Which of several that ran brought the worker down cannot be told, so each of
    them counts.
    """

    def __init__(self, clock: Callable[[], float], log: Path) -> None:
        self._clock = clock
        self._log = log
        self.total = 0
        """How many there have been, ever."""
        self._deaths: deque[tuple[float, frozenset[bytes]]] = deque()

    def record(self, running: Iterable[Request]) -> None:
        """Notes a death while these requests were running."""
        self.total += 1
        self._deaths.append((self._clock(), frozenset(map(_digest, running))))

    def check(self, model: str, request: Request) -> None:
        """Raises RequestKillsWorker if the last minute saw too many deaths on this very request."""
        now = self._clock()
        while self._deaths and self._deaths[0][0] <= now - WINDOW_S:
            self._deaths.popleft()
        if not self._deaths:
            return
        digest = _digest(request)
        times = [time for time, running in self._deaths if digest in running]
        if len(times) >= LIMIT:
            left = times[-LIMIT] + WINDOW_S - now
            raise RequestKillsWorker(model=model, deaths=len(times), seconds=left, log=self._log)


def _digest(request: Request) -> bytes:
    """A request's content: everything but its id, who asks, and the random name of its scope."""
    anonymous = msgspec.structs.replace(request, id=0)
    if isinstance(anonymous, frames.Generate):
        anonymous = msgspec.structs.replace(anonymous, scope="", client=0)
    return hashlib.sha256(msgspec.msgpack.encode(anonymous)).digest()
