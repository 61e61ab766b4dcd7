"""What a thinking model says before its answer: dimmed, on stderr, never among the answer."""

from __future__ import annotations

import sys

from erllama_cli.output import dimmed


class Thoughts:
    """Draws nothing unless `shown`."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._last = "\n"

    def show(self, text: str) -> None:
        """Draw what was thought next."""
        if self._shown:
            self._last = text
            print(dimmed(text), end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line to what comes next. May be called at any time, and again."""
        if not self._last.endswith("\n"):
            print(file=sys.stderr, flush=True)
        self._last = "\n"
