"""What a terminal can show."""

from __future__ import annotations

import os
from typing import TextIO

SHOW_CURSOR = "\x1b[?25h"
_USUAL = os.terminal_size((80, 24))


def can_draw(stream: TextIO | None) -> bool:
    """Whether `stream` is a terminal that understands more than letters."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def may_colour() -> bool:
    """Whether the user has nothing against colours."""
    return not os.environ.get("NO_COLOR")


def size_of(stream: TextIO) -> os.terminal_size:
    """Columns and lines of the terminal behind `stream`; the usual ones if it does not say."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return _USUAL
    return os.terminal_size((columns or _USUAL.columns, lines or _USUAL.lines))
