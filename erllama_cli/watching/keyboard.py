"""Single keys, while something is drawn."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator

_QUIT = b"qQ\x04"  # Ctrl-D, too


class Keyboard:
    """Hears keys one by one, unseen, from a terminal; without one it hears nothing."""

    def __init__(self, handle: int | None) -> None:
        self._handle = handle

    def wants_out(self, seconds: float) -> bool:
        """Waits so long, and says whether it was asked to leave meanwhile."""
        deadline = time.monotonic() + seconds
        while self._handle is not None and (left := deadline - time.monotonic()) > 0:
            if not select.select([self._handle], [], [], left)[0]:
                return False
            keys = os.read(self._handle, 64)
            if not keys:  # the terminal is gone
                return True
            if any(key in keys for key in _QUIT):
                return True
        if self._handle is None:
            time.sleep(seconds)
        return False


@contextlib.contextmanager
def keyboard() -> Iterator[Keyboard]:
    """The keyboard of standard input; its terminal is afterwards as it was before.

    Ctrl-Z does nothing meanwhile: a shell would be left with what is drawn.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        yield Keyboard(None)
        return
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    try:
        tty.setcbreak(handle)
        modes = termios.tcgetattr(handle)
        modes[6][termios.VSUSP] = b"\0"
        termios.tcsetattr(handle, termios.TCSADRAIN, modes)
        yield Keyboard(handle)
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
