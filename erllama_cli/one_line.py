"""Text that anybody may have written, on one line of a terminal, which it cannot disturb."""

from __future__ import annotations

import re
import shutil
from unicodedata import combining, east_asian_width

_CONTROL_TOKEN = re.compile(r"<\|[^<>|\s]{1,40}\|>")
_PIPE_WIDTH = 120


def line_width() -> int:
    """How many columns a line may take: those of the terminal, or what COLUMNS says; plenty for a pipe."""
    return shutil.get_terminal_size((_PIPE_WIDTH, 0)).columns


def one_line(text: str) -> str:
    """`text` with its whitespace collapsed and what cannot be printed escaped.

    Control tokens such as `<|im_start|>` are left out, unless there is nothing else.
    """
    words = _CONTROL_TOKEN.sub(" ", text).split() or text.split()
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode()
        for letter in " ".join(words)
    )


def columns(text: str) -> int:
    """How many columns of a terminal a printable text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, width: int) -> str:
    """As much of a printable text as fits into `width` columns; a cut one ends in an ellipsis."""
    if columns(text) <= width:
        return text
    taken, kept = 1, []
    for letter in text:
        taken += _columns(letter)
        if taken > width:
            break
        kept.append(letter)
    return "".join(kept).rstrip() + "…"


def _columns(letter: str) -> int:
    if combining(letter):
        return 0
    return 2 if east_asian_width(letter) in "WF" else 1
