"""Signals that end or stop a command, which leaves the terminal as it found it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from erllama_cli.drawing.screen import SHOW_CURSOR, can_draw

_ENDS = (signal.SIGTERM, signal.SIGHUP)


class Ended(SystemExit):  # which even asyncio lets through
    """The command was told to end by a signal: whatever is under way is left as Ctrl-C leaves it, only for good."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def die(self) -> NoReturn:
        """End as the signal would have ended the command, so that who sent it can tell."""
        signal.signal(self.number, signal.SIG_DFL)
        os.kill(os.getpid(), self.number)
        raise AssertionError("a signal that ends a process has not")


def tidy_up_at_signals() -> None:
    """Raises Ended in the main thread when the command is told to end, and KeyboardInterrupt for Ctrl-C; Ctrl-Z shows
    the cursor before it stops.

    What the command's starter has it ignore, as `nohup` does, stays ignored.
    """
    for number in _ENDS:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end)
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
        signal.signal(signal.SIGTSTP, _stop)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)  # a second one waits for nothing
    raise Ended(number)


def _stop(number: int, _frame: FrameType | None) -> None:
    for stream in (sys.stdout, sys.stderr):
        if can_draw(stream):
            with contextlib.suppress(OSError):
                os.write(stream.fileno(), SHOW_CURSOR.encode())  # not through a buffer that may be in use just now
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.signal(number, _stop)
