"""A few lines of what a model thinks while it does, and one line afterwards."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable

from erllama_cli.drawing.page import Page, Span
from erllama_cli.drawing.painter import PAUSE_S, Painter
from erllama_cli.drawing.printable import Printable
from erllama_cli.drawing.region import Region
from erllama_cli.drawing.screen import can_draw, may_colour, size_of
from erllama_cli.output import counted, readable_seconds

_LINES = 4
_DIM = "2"


class FoldedThoughts:
    """Its last lines as long as it lasts, and then one line that says how long that was.

    With `unfoldable`, that line says how to see all of it.
    """

    def __init__(
        self, *, unfoldable: bool, clock: Callable[[], float] = time.monotonic, pause_s: float = PAUSE_S
    ) -> None:
        self._hint = " (/thinking shows it)" if unfoldable else ""
        self._clock = clock
        self._pause_s = pause_s
        self._began_s = 0.0
        self._shown: _LastLines | None = None

    def show(self, text: str) -> None:
        """Have the last lines drawn."""
        if self._shown is None:
            self._shown, self._began_s = _LastLines(self._pause_s), self._clock()
        self._shown.show(text)

    def end(self) -> None:
        """Fold what was drawn."""
        if self._shown is not None:
            shown, self._shown = self._shown, None
            took = readable_seconds(self._clock() - self._began_s)
            shown.fold(f"▸ thought for {took}, {counted(shown.words(), 'word')}{self._hint}")


class _LastLines:
    """The end of a text, drawn anew whenever it grows. A terminal that cannot do that shows nothing of it."""

    def __init__(self, pause_s: float) -> None:
        self._text = ""
        self._coming: deque[str] = deque()
        self._printable = Printable()
        self._region = Region(_write, lambda: size_of(sys.stderr)) if can_draw(sys.stderr) else None
        self._painter = Painter(self._paint, pause_s=pause_s)

    def show(self, text: str) -> None:
        self._coming.append(text)
        if self._region is not None:
            self._painter.touch()

    def words(self) -> int:
        """How many have come. Nothing is drawn any more."""
        self._painter.stop()
        self._come()
        return len(self._text.split())

    def fold(self, told: str) -> None:
        """Have `told` in the place of all that was drawn."""
        self._painter.stop()
        if self._region is None:
            _write(f"{told}\n")
        else:
            self._region.end(_page().wrapped([Span(told, _DIM)]))

    def _paint(self) -> None:
        self._come()
        lines = [line for line in self._text.split("\n") if line.strip()]
        drawn = [drawn for line in lines[-_LINES:] for drawn in _page().wrapped([Span(line, _DIM)])]
        if self._region is not None:
            self._region.show([], drawn[-_LINES:])

    def _come(self) -> None:
        texts = [self._coming.popleft() for _ in range(len(self._coming))]
        self._text += self._printable.next("".join(texts))


def _page() -> Page:
    return Page(size_of(sys.stderr).columns, may_colour())


def _write(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)
