"""The end of what stands on a terminal, as long as it may still change."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from erllama_cli.drawing.page import Line
from erllama_cli.drawing.screen import SHOW_CURSOR

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
"""A terminal that knows these shows all that is written between them at once."""

_HIDE_CURSOR = "\x1b[?25l"
_CUT_LINES, _WRAP_LINES = "\x1b[?7l", "\x1b[?7h"
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"


class Region:
    """Lines below everything that was printed for good, drawn over and over by one write each.

    Between two writes the (hidden) cursor stands where the region begins. So nothing above is touched whatever the
    terminal does to long lines when it is resized, and whatever the width of a letter that we did not know. Used by one
    thread at a time.
    """

    def __init__(self, write: Callable[[str], None], size: Callable[[], os.terminal_size]) -> None:
        self._write = write
        self._size = size
        self._open = False

    def show(self, done: Sequence[Line], live: Sequence[Line]) -> None:
        """Print `done` for good in the place of what was shown, and below it as much of `live`'s end as fits."""
        width, height = self._size()
        shown = live[-max(height - 1, 1) :]
        # What was typed meanwhile moved the cursor, and Ctrl-Z has shown it.
        frame = [_BEGIN, _HIDE_CURSOR, "\r" if self._open else ""]
        frame += [f"{_erasing(line, width)}\n" for line in done]
        frame += [_CUT_LINES, *(f"{_erasing(line, width)}\n" for line in shown[:-1]), _ERASE_BELOW]
        frame += [line.text for line in shown[-1:]]
        frame += [f"\x1b[{len(shown) - 1}A" if len(shown) > 1 else "", "\r", _WRAP_LINES, _END]
        self._open = True
        self._write("".join(frame))

    def end(self, done: Sequence[Line]) -> None:
        """Print `done` for good in the place of what was shown; the cursor is below it and visible again."""
        if not (self._open or done):
            return
        width, _ = self._size()
        lines = "".join(f"{_erasing(line, width)}\n" for line in done)
        self._open = False
        self._write(f"{_BEGIN}\r{lines}{_ERASE_BELOW}{SHOW_CURSOR}{_END}")


def _erasing(line: Line, width: int) -> str:
    """What draws `line` over others. One that ends at the edge leaves nothing to erase, and its end would be."""
    if line.columns > width:
        return _ERASE_BELOW + line.text
    return line.text if line.columns == width else line.text + _ERASE_LINE
