"""What conversations may be called, and what they are called until somebody names them."""

from __future__ import annotations

NAME_CHARACTERS = 200
_TITLE_CHARACTERS = 60
_JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))
"""What holds the parts of some emoji together, and letters apart: of no width, and yet part of a word."""


def is_name(text: str) -> bool:
    """Whether a conversation may be called so: something can be seen of it, it stays on one line, and it ends."""
    return bool(text.strip()) and len(text) <= NAME_CHARACTERS and text.translate(_JOINERS).isprintable()


def title_of(text: str) -> str:
    """A conversation's name until it gets another: the beginning of its first message, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1].rstrip() + "…"
