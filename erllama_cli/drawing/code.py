"""Code in colours, line by line."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from erllama_cli.drawing.page import Span

_STYLES = {
    ("Comment",): "2",
    ("Keyword",): "35",
    ("Keyword", "Type"): "36",
    ("Keyword", "Constant"): "36",
    ("Operator", "Word"): "35",
    ("Name", "Builtin"): "36",
    ("Name", "Class"): "1",
    ("Name", "Function"): "94",
    ("Name", "Decorator"): "94",
    ("Name", "Tag"): "35",
    ("Name", "Attribute"): "36",
    ("Name", "Variable"): "36",
    ("Literal", "String"): "32",
    ("Literal", "Number"): "36",
    ("Generic", "Heading"): "1",
    ("Generic", "Inserted"): "32",
    ("Generic", "Deleted"): "31",
}
"""For kinds of words, and for all that is of such a kind; the colours are those that the user's terminal has."""


class Colours:
    """Colours code that grows without reading all of it anew: remembers what it was given last.

    Reading starts over at a line that begins something new: after an empty line outside of strings and comments, and
    not indented. The colours of a line depend on nothing that comes after it, as far as the lexers allow.
    """

    def __init__(self) -> None:
        self._language = ""
        self._lines: list[str] = []
        self._coloured: list[list[Span]] = []
        self._start = 0

    def of(self, language: str, lines: Sequence[str]) -> list[list[Span]]:
        """`lines` in the colours of `language`, or plain if nobody knows that."""
        if language != self._language or lines[: len(self._lines)] != self._lines:
            self._language, self._lines, self._coloured, self._start = language, [], [], 0
        lexer = _lexer(language)
        if lexer is None:
            return [[Span(line)] for line in lines]
        if len(lines) > len(self._lines):
            self._lines = list(lines)
            self._extend(lexer)
        return self._coloured

    def _extend(self, lexer: Any) -> None:
        while True:
            read = list(_read(lexer, self._lines, self._start))
            self._coloured[self._start :] = read
            if self._start + len(read) >= len(self._lines):
                return
            self._start += len(read)


def _read(lexer: Any, lines: Sequence[str], start: int) -> Iterator[list[Span]]:
    """The lines from `start` on, up to one where reading may start over."""
    index, spans = start, list[Span]()
    for kind, text in lexer.get_tokens("\n".join(lines[start:]) + "\n"):
        style = _style(kind)
        parts = text.split("\n")
        for part in parts[:-1]:
            yield [*spans, Span(part, style)]
            spans, index = [], index + 1
            if index >= len(lines) or (not style and not lines[index - 1].strip() and lines[index][:1].strip()):
                return
        spans.append(Span(parts[-1], style))


@functools.cache
def _style(kind: tuple[str, ...]) -> str:
    found = (_STYLES.get(kind[:length]) for length in range(len(kind), 0, -1))
    return next(itertools.chain(filter(None, found), [""]))


@functools.cache
def _lexer(language: str) -> Any:
    # Imported here: not every answer holds code.
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return None
