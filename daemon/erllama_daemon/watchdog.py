"""Ends a worker that hangs in native code, which no exception reaches: the daemon then loads the model anew."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator

log = logging.getLogger(__name__)

EXIT_HUNG = 71


class Watchdog:
    """Watches one thread's steps, of which none may take longer than `limit_s` seconds."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s

    @contextlib.contextmanager
    def watch(self, what: str) -> Iterator[None]:
        """Ends the process unless the block is left in time; `what` is logged then."""
        timer = threading.Timer(self._limit_s, self._end, [what])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self, what: str) -> None:
        log.error("%s took longer than %g s: the worker ends", what, self._limit_s)
        os._exit(EXIT_HUNG)
