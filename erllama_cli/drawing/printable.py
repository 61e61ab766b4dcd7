"""What a model says, made harmless for a terminal."""

from __future__ import annotations

import re

_UNPRINTABLE = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
"""Control characters but tab and line break, and what turns the direction of everything that follows.

As text: it is compiled when a terminal is first written to."""


def printable(text: str) -> str:
    """`text` on as many lines, with what would move the cursor, or worse, written out."""
    return re.sub(_UNPRINTABLE, lambda found: found[0].encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


class Printable:
    """A text that comes in pieces: control characters are written out, and CR LF is a line break."""

    def __init__(self) -> None:
        self._return_held = False

    def next(self, text: str) -> str:
        """What to show of the next piece. A carriage return at its end is held back until more comes."""
        if self._return_held:
            text = "\r" + text
        self._return_held = text.endswith("\r")
        return printable(text[:-1] if self._return_held else text)

    def rest(self) -> str:
        """What was held back."""
        held, self._return_held = "\r" if self._return_held else "", False
        return printable(held)
