"""What a thinking model says before its answer: dimmed, on stderr, never among the answer."""

from __future__ import annotations

import sys
from typing import Protocol

from erllama_cli.drawing.printable import Printable
from erllama_cli.options import DisplayOptions
from erllama_cli.output import dimmed


class Thoughts(Protocol):
    """What is shown of the thinking."""

    def show(self, text: str) -> None:
        """Draw what was thought next."""

    def end(self) -> None:
        """Leave the line to what comes next. May be called at any time, and again."""


def thoughts(display: DisplayOptions) -> Thoughts:
    """All of it where that is asked for, what fits a few lines on a terminal, or nothing."""
    at_terminal = sys.stderr.isatty() and not display.quiet
    if display.as_json or display.thinking is False or not (display.thinking or at_terminal):
        return HiddenThoughts()
    if display.thinking:
        return WholeThoughts()
    # Imported here: few models think.
    from erllama_cli.drawing.folded_thoughts import FoldedThoughts

    return FoldedThoughts(unfoldable=display.in_chat)


class HiddenThoughts:
    """Nothing of it."""

    def show(self, text: str) -> None:
        """Draws nothing."""

    def end(self) -> None:
        """Leaves nothing."""


class WholeThoughts:
    """All of it."""

    def __init__(self) -> None:
        self._printable = Printable() if sys.stderr.isatty() else None
        self._last = "\n"

    def show(self, text: str) -> None:
        """Print what was thought next, at once."""
        printed = text if self._printable is None else self._printable.next(text)
        if printed:
            self._last = printed
            print(dimmed(printed), end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """End the last line."""
        if not self._last.endswith("\n"):
            print(file=sys.stderr, flush=True)
        self._last = "\n"
