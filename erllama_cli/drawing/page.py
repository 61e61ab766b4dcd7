"""Lines of styled text that fit a terminal's width."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from erllama_cli.one_line import columns

_WIDE = "\u1100-\u115f\u2e80-\u2fff\u3041-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60"
_CLOSING = "\u3001\u3002\u300d\u300f\uff01\uff09\uff0c\uff0e\uff1a\uff1b\uff1f"
_WORD = re.compile(f"([ \t]*)([{_WIDE}][{_CLOSING}]*|[^ \t{_WIDE}]+)")
"""A word with the gap before it. Between wide letters, which are written without spaces, a line may break too."""

_COLOURLESS = frozenset(("1", "3", "4", "9"))


@dataclass(frozen=True, slots=True)
class Span:
    """Text in one style, which is parameters of the escape sequence that sets it: "1;35" is bold magenta."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its escape sequences, and how many columns it takes."""

    text: str
    columns: int


@dataclass(frozen=True, slots=True)
class Page:
    """How wide lines may be, and whether they may be coloured. Bold, italic and underlined text is no colour."""

    width: int
    colour: bool

    def line(self, spans: Sequence[Span]) -> Line:
        """All of `spans` on one line, however long, but for blanks at its end."""
        kept = [
            Span("".join(span.text for span in alike), style)
            for style, alike in itertools.groupby(spans, key=lambda span: span.style)
        ]
        if kept and not kept[-1].style:
            kept.append(Span(kept.pop().text.rstrip(" ")))
        return Line("".join(map(self._painted, kept)), sum(columns(span.text) for span in kept))

    def wrapped(self, spans: Sequence[Span], first: Sequence[Span] = (), rest: Sequence[Span] = ()) -> list[Line]:
        """`spans` on lines that end at line breaks and between words; only words longer than a line are broken.

        The first line begins with `first`, the others with `rest`, which is as wide.
        """
        narrower = Page(max(self.width - sum(columns(span.text) for span in first), 1), self.colour)
        lines = narrower.broken(spans)
        return [self.line([*(rest if index else first), *line]) for index, line in enumerate(lines)]

    def broken(self, spans: Sequence[Span]) -> list[list[Span]]:
        """`spans` cut at line breaks and between words, into parts that fit a line each."""
        text = "".join(span.text for span in spans)
        return [_sliced(spans, start, end) for start, end in _broken(text, self.width)]

    def folded(self, spans: Sequence[Span]) -> list[Line]:
        """`spans` as a terminal itself would break them: at its edge, wherever that falls."""
        text = "".join(span.text for span in spans)
        return [self.line(_sliced(spans, start, end)) for start, end in _filled(text, 0, len(text), self.width)]

    def _painted(self, span: Span) -> str:
        style, text = span.style, span.text.replace("\t", " ")
        if not self.colour:
            style = ";".join(code for code in style.split(";") if code in _COLOURLESS)
        return f"\x1b[{style}m{text}\x1b[0m" if style and text else text


def combined(*styles: str) -> str:
    """A style that is all of these at once."""
    return ";".join(style for style in styles if style)


def _broken(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Where each line of `text` begins and ends."""
    start = 0
    for line in text.split("\n"):
        yield from _broken_line(text, start, start + len(line), width)
        start += len(line) + 1


def _broken_line(text: str, start: int, end: int, width: int) -> Iterator[tuple[int, int]]:
    begin = filled = start
    used = 0
    for found in _WORD.finditer(text, start, end):
        gap, word = columns(found[1]), columns(found[2])
        if used + gap + word <= width:
            used += gap + word
        else:
            if filled > begin:
                yield begin, filled
            *whole, (begin, _) = _filled(text, found.start(2), found.end(2), width)
            yield from whole
            used = columns(text[begin : found.end(2)])
        filled = found.end(2)
    yield begin, filled


def _filled(text: str, start: int, end: int, width: int) -> list[tuple[int, int]]:
    """Where lines begin and end that are as full as can be."""
    lines, used, begin = [], 0, start
    for index in range(start, end):
        taken = columns(text[index])
        if used + taken > width and index > begin:
            lines.append((begin, index))
            begin, used = index, 0
        used += taken
    return [*lines, (begin, end)]


def _sliced(spans: Sequence[Span], start: int, end: int) -> list[Span]:
    """The part of `spans` from one letter to another."""
    sliced, position = [], 0
    for span in spans:
        text = span.text[max(start - position, 0) : max(end - position, 0)]
        if text:
            sliced.append(Span(text, span.style))
        position += len(span.text)
    return sliced
