"""A rendered text in tokens: piece by piece, each piece once, from wherever a chain that is there already ends."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from erllama_cache.cuts import MIN_SPAN
from erllama_daemon.engine.backend import Vocabulary
from erllama_daemon.template.chat import Rendered


@dataclass(frozen=True, slots=True)
class Stretch:
    """The tokens of a part of a text, and the positions among them, inside of it, where blocks may end.

    `offsets` are those of the breakpoints in the text.
    """

    tokens: list[int]
    breakpoints: tuple[int, ...]
    offsets: tuple[int, ...]


class Segments:
    """The pieces between a text's breakpoints. Offsets count bytes of UTF-8.

    `bos_text` is how the vocabulary writes the token that begins every text. One thread at a time.
    """

    def __init__(self, rendered: Rendered, vocabulary: Vocabulary, bos_text: str) -> None:
        self.data = rendered.text.encode()
        self._vocabulary = vocabulary
        self._adds_bos = not (bos_text and rendered.text.startswith(bos_text))
        self._breakpoints = sorted({*_in_bytes(rendered, rendered.breakpoints)})
        self._boundaries = sorted({*_in_bytes(rendered, rendered.boundaries)})
        starts = _in_bytes(rendered, [start for start, _ in rendered.answers])
        ends = _in_bytes(rendered, [end for _, end in rendered.answers])
        self.answers = dict(zip(starts, ends, strict=True))
        """Where the messages of answers end, by where the answers begin."""
        self._starts = starts
        self._known: dict[tuple[int, int], list[int]] = {}

    def whole(self) -> Stretch:
        """All of the text."""
        return self.stretch(0, len(self.data))

    def stretch(self, start: int, end: int) -> Stretch:
        """The text from where a chain ends (0: none does) to `end`, which is a breakpoint or the text's end."""
        if start == end:
            return Stretch([], (), ())
        edges = [edge for edge in self._edges(start) if edge < end]
        tokens: list[int] = []
        breakpoints = []
        for left, right in itertools.pairwise([start, *edges, end]):
            tokens += self._piece(left, right)
            breakpoints.append(len(tokens))
        return Stretch(tokens, tuple(breakpoints[:-1]), tuple(edges))

    def answers_after(self, start: int) -> list[int]:
        """Where the answers begin that come later than the answer in which a chain ends."""
        return self._starts[bisect_right(self._starts, start) :]

    def is_whole_character(self, offset: int) -> bool:
        """Whether no character stands on both sides of the offset."""
        return offset == len(self.data) or self.data[offset] & 0xC0 != 0x80

    def _edges(self, start: int) -> list[int]:
        """The breakpoints after a chain's end.

        One that ends where its answer does is followed by what a conversation's next turn would append: it has no
        breakpoints where messages meet.
        """
        edges = self._breakpoints[bisect_right(self._breakpoints, start) :]
        following = next(iter(self.answers_after(start)), len(self.data))
        inner = [edge for edge in self._boundaries if start < edge < following]
        if start == 0 or not inner:
            return edges
        if start not in self._boundaries and len(self._piece(start, inner[0])) >= MIN_SPAN:
            return edges
        return [edge for edge in edges if edge not in inner]

    def _piece(self, start: int, end: int) -> list[int]:
        tokens = self._known.get((start, end))
        if tokens is None:
            text = self.data[start:end].decode()
            tokens = self._vocabulary.tokenize(text, first=start == 0 and self._adds_bos)
            self._known[start, end] = tokens
        return tokens


def _in_bytes(rendered: Rendered, offsets: Iterable[int]) -> list[int]:
    """The offsets in order, in bytes."""
    if rendered.text.isascii():
        return sorted(offsets)
    found, position, size = [], 0, 0
    for offset in sorted(offsets):
        size += len(rendered.text[position:offset].encode())
        position = offset
        found.append(size)
    return found
