"""A command line that is still being typed, as its words, and how a word has to be quoted to come out as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Quote = Literal["", "'", '"']

_ESCAPED: dict[Quote, str] = {"": " \t\\\"'`$&|;<>()[]{}*?!#~^", '"': '\\"`$', "'": ""}


@dataclass(frozen=True, slots=True)
class TypedWords:
    """The words before the last one, and the last one, where the cursor is: as it is typed, and as it is meant."""

    before: list[str]
    raw: str
    meant: str


def typed_words(line: str) -> TypedWords:
    """The words of a line up to the cursor, whose last quote or backslash may be open."""
    before: list[str] = []
    start = 0
    quote: Quote = ""
    escaped = False
    for place, letter in enumerate(line):
        if escaped:
            escaped = False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif letter in "'\"" and quote in ("", letter):
            quote = "" if quote else "'" if letter == "'" else '"'
        elif letter.isspace() and not quote:
            if start < place:
                before.append(unquoted(line[start:place])[0])
            start = place + 1
    raw = line[start:]
    return TypedWords(before, raw, unquoted(raw)[0])


def unquoted(raw: str) -> tuple[str, Quote]:
    """What a word stands for, and the quote that is still open at its end."""
    meant: list[str] = []
    quote: Quote = ""
    letters = iter(raw)
    for letter in letters:
        if letter == "\\" and quote != "'":
            following = next(letters, "")
            meant.append(following if not quote or following in _ESCAPED['"'] else f"\\{following}")
        elif letter in "'\"" and quote in ("", letter):
            quote = "" if quote else "'" if letter == "'" else '"'
        else:
            meant.append(letter)
    return "".join(meant), quote


def quoted(text: str, quote: Quote) -> str:
    """`text` as it has to be typed after an open `quote`, or where there is none."""
    if quote == "'":
        return text.replace("'", "'\\''")
    return "".join(f"\\{letter}" if letter in _ESCAPED[quote] else letter for letter in text)


def continued(meant: str, word: TypedWords, replaced: str) -> str:
    """What to put in place of `replaced`, the end of the word as it is typed, to have it mean `meant`, which begins so.

    A shell that breaks words at colons has only what comes after one replaced.
    """
    kept = word.raw[: len(word.raw) - len(replaced)] if word.raw.endswith(replaced) else ""
    stays, quote = unquoted(kept)
    return quoted(meant[len(stays) :], quote)
