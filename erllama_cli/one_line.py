"""Text that anybody may have written, on one line of a terminal, which it cannot disturb."""

from __future__ import annotations

import functools
import itertools
import re
import shutil
from collections.abc import Sequence
from unicodedata import category, east_asian_width

_CONTROL_TOKEN = re.compile(r"<\|[^<>|\s]{1,40}\|>")
_JOINER = "\u200d"
"""Holds the parts of some emoji together."""

_PIPE_WIDTH = 120
_CONTEXT = 24
"""So many characters are shown of what two texts begin with together, and so many at least left out."""


def line_width() -> int:
    """How many columns a line may take: those of the terminal, or what COLUMNS says; plenty for a pipe."""
    return shutil.get_terminal_size((_PIPE_WIDTH, 0)).columns


def one_line(text: str) -> str:
    """`text` with its whitespace collapsed and what cannot be printed escaped.

    Control tokens such as `<|im_start|>` are left out, unless there is nothing else.
    """
    words = _CONTROL_TOKEN.sub(" ", text).split() or text.split()
    return "".join(
        letter
        if letter.isprintable() or letter == _JOINER
        else letter.encode("unicode_escape", "surrogatepass").decode()
        for letter in " ".join(words)
    )


def told_apart(texts: Sequence[str]) -> list[str]:
    """Texts on one line each, those that begin alike for long from shortly before they differ."""
    distinct = sorted(set(texts))
    alike = [0, *itertools.starmap(_shared, itertools.pairwise(distinct)), 0]
    shared = {text: max(alike[index : index + 2]) for index, text in enumerate(distinct)}
    return [_from_difference(text, shared[text]) for text in texts]


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


def broken_at_words(text: str, width: int) -> str:
    """`text` with its lines broken between words where they are longer; a word never is, so that it can be copied."""
    return "\n".join(part for line in text.split("\n") for part in _broken(line, width))


def _broken(line: str, width: int) -> list[str]:
    if columns(line) <= width:
        return [line]
    # Imported here: most lines fit.
    from textwrap import wrap

    return wrap(line, width, break_long_words=False, break_on_hyphens=False)


def _shared(a: str, b: str) -> int:
    """How many characters two different texts begin with together."""
    return next(
        (index for index, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b))
    )


def _from_difference(text: str, shared: int) -> str:
    start = text.rfind(" ", 0, max(shared - _CONTEXT, 0)) + 1
    return f"… {text[start:]}" if start > _CONTEXT else text


@functools.lru_cache(maxsize=4096)
def _columns(letter: str) -> int:
    if category(letter) in ("Mn", "Me", "Cf") or "\u1160" <= letter <= "\u11ff":
        return 0
    return 2 if east_asian_width(letter) in "WF" else 1
