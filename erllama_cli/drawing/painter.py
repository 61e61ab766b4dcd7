"""Threads that draw: what has changed, though not at every change, or how time goes by."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

PAUSE_S = 0.04
_SHARE = 10
"""Of the time, at most one part in so many is spent on drawing: the model computes on the same cores."""


class Painter:
    """Calls `paint` soon after `touch`, the first time at once, then with pauses, in a thread of its own.

    Ctrl-C, which ends whatever the main thread does, never ends a drawing half way.
    """

    def __init__(self, paint: Callable[[], None], *, pause_s: float = PAUSE_S) -> None:
        self._paint = paint
        self._pause_s = pause_s
        self._touched = threading.Event()
        self._stopped = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def touch(self) -> None:
        """There is something new to draw. Raises what the last drawing failed with."""
        if self._failure is not None:
            raise self._failure
        self._touched.set()
        if self._thread.ident is None:
            _start(self._thread)

    def stop(self) -> None:
        """Returns when nothing is being drawn any more."""
        self._stopped.set()
        self._touched.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stopped.wait(pause_s):
            self._touched.wait()
            self._touched.clear()
            if self._stopped.is_set():
                return
            began = time.monotonic()
            try:
                self._paint()
            except Exception as failure:
                self._failure = failure
                return
            pause_s = max(self._pause_s, (_SHARE - 1) * (time.monotonic() - began))


class Ticker:
    """Calls `tick` when a while has passed, and then again and again, in a thread of its own."""

    def __init__(self, tick: Callable[[], None], *, delay_s: float, pause_s: float) -> None:
        self._tick = tick
        self._delay_s, self._pause_s = delay_s, pause_s
        self._stopped = threading.Event()

    def start(self) -> None:
        """Time goes by from now on."""
        _start(threading.Thread(target=self._run, daemon=True))

    def stop(self) -> None:
        """It never ticks again, but for once if it does just now."""
        self._stopped.set()

    def _run(self) -> None:
        pause_s = self._delay_s
        while not self._stopped.wait(pause_s):
            self._tick()
            pause_s = self._pause_s


def _start(thread: threading.Thread) -> None:
    """Start a thread that gets no Ctrl-C, which would not wake the main thread where that waits for the daemon."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
