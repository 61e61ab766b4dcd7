"""How conversations are spoken of: what they may be called, are called until somebody names them, and are counted."""

from __future__ import annotations

import unicodedata

NAME_CHARACTERS = 200
_TITLE_CHARACTERS = 60
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = {"\u200c", "\u200d", *map(chr, range(0xE0020, 0xE0080))}
"""Make one character, often an emoji, of several."""


def is_name(text: str) -> bool:
    """Whether a conversation may be called so: something can be seen of it, it stays on one line, and it ends."""
    return bool(text.strip()) and len(text) <= NAME_CHARACTERS and all(map(_can_be_seen, text))


def title_of(text: str) -> str:
    """A conversation's name until it gets another: the beginning of its first message, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1].rstrip() + "…"


def counted(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _can_be_seen(character: str) -> bool:
    """Whether a character may be in a name: no control character, and none that moves the others about."""
    return character in _JOINERS or unicodedata.category(character) not in _UNSEEN
