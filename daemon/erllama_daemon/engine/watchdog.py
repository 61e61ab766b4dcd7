"""Ends a worker that hangs in native code, which no exception reaches: the daemon then loads the model anew."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator

log = logging.getLogger(__name__)

EXIT_HUNG = 71


class Watchdog:
    """Watches one thread's steps, of which none may take longer than `limit_s` seconds.

    Its own thread, started by the first step, looks every quarter of that.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._thread: threading.Thread | None = None
        self._watched: tuple[str, float] | None = None

    @contextlib.contextmanager
    def watch(self, what: str) -> Iterator[None]:
        """Ends the process unless the block is left in time; `what` is logged then."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)
            self._thread.start()
        self._watched = what, time.monotonic() + self._limit_s
        try:
            yield
        finally:
            self._watched = None

    def _look(self) -> None:
        while True:
            time.sleep(self._limit_s / 4)
            watched = self._watched
            if watched is not None and time.monotonic() > watched[1]:
                log.error("%s took longer than %g s: the worker ends", watched[0], self._limit_s)
                os._exit(EXIT_HUNG)
