"""What is on a terminal's screen, and was on it, after all that was written to it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable

import pyte
from cli.terminal import Terminal


class DrawnScreen:
    """A terminal of a size, with all that has scrolled off it."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self._screen = pyte.HistoryScreen(columns, lines, history=100_000)
        self._stream = pyte.Stream(self._screen)
        self._modes = set(self._screen.mode)

    def size(self) -> os.terminal_size:
        return os.terminal_size((self._screen.columns, self._screen.lines))

    def write(self, text: str) -> None:
        """Show what a program writes to the terminal."""
        self._stream.feed(text.replace("\r\n", "\n").replace("\n", "\r\n"))

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)

    @property
    def lines(self) -> list[str]:
        """Everything, from the first line ever written, without the empty ones at the end."""
        return _without_empty_end("".join(letter.data for letter in row).rstrip() for row in self._rows())

    @property
    def cells(self) -> list[list[tuple[object, ...]]]:
        """Everything with its colours and letter forms."""
        return [[tuple(letter) for letter in row] for row in self._rows()]

    @property
    def visible(self) -> list[str]:
        """What is on the screen now."""
        return _without_empty_end(line.rstrip() for line in self._screen.display)

    @property
    def is_left_as_found(self) -> bool:
        """Whether the cursor stands visibly at the start of an empty line, and no mode is left on."""
        cursor = self._screen.cursor
        row = self._screen.display[cursor.y]
        return not (cursor.hidden or cursor.x or row.strip()) and self._screen.mode == self._modes

    def _rows(self) -> list[list[pyte.screens.Char]]:
        columns, lines = self.size()
        rows = itertools.chain(self._screen.history.top, (self._screen.buffer[line] for line in range(lines)))
        return [[row[column] for column in range(columns)] for row in rows]


class DrawnTerminal(Terminal):
    """A command at a terminal with a screen."""

    def __init__(self, *arguments: str, kind: str = "xterm") -> None:
        self.screen = DrawnScreen()
        super().__init__(*arguments, kind=kind)

    def _read(self, timeout_s: float) -> str:
        chunk = super()._read(timeout_s)
        self.screen.write(chunk)
        return chunk


def _without_empty_end(lines: Iterable[str]) -> list[str]:
    kept = list(lines)
    while kept and not kept[-1]:
        kept.pop()
    return kept
