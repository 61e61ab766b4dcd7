"""A Markdown text that grows: what of it is printed for good, and what may still change."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from erllama_cli.drawing.blocks import Gap, Piece, blocks
from erllama_cli.drawing.code import Colours
from erllama_cli.drawing.page import Line, Page


@dataclass(frozen=True, slots=True)
class Drawn:
    """Lines that are printed now and never again, and those that stand below them until the next drawing."""

    done: list[Line]
    live: list[Line]


class Document:
    """However a text was cut into what was added, its lines are those of the whole text, each once and in order.

    Keeps only what was not printed yet, from the beginning of the outermost block that this is in.
    """

    def __init__(self) -> None:
        self._source = ""
        self._settled = 0
        """Up to here, in whole lines, `_source` has been looked at."""

        self._apart = False
        self._printed = 0
        """So many pieces of the block that `_source` begins with."""

        self._colours = Colours()

    def add(self, text: str) -> None:
        """What comes next."""
        self._source += text

    def drawn(self, page: Page) -> Drawn:
        """What has come, on a page; `done` of it will not come again."""
        done = list(self._finished())
        whole = blocks(self._source, self._colours, apart=self._apart, growing=True)
        pieces = itertools.chain.from_iterable(block.pieces for block in whole)
        return Drawn(_lines(done, page), _lines(itertools.islice(pieces, self._printed, None), page))

    def rest(self, page: Page) -> list[Line]:
        """All that was not printed yet, now that nothing more comes."""
        whole = blocks(self._source, self._colours, apart=self._apart)
        pieces = itertools.chain.from_iterable(block.pieces for block in whole)
        return _lines(itertools.islice(pieces, self._printed, None), page)

    def _finished(self) -> Iterable[Piece]:
        """The pieces that whole lines have made final."""
        settled = self._source.rfind("\n") + 1
        if settled == self._settled:
            return []
        self._settled = settled
        found = blocks(self._source[:settled], self._colours, apart=self._apart)
        if not found:
            return []
        *finished, last = found
        pieces = [piece for block in finished for piece in block.pieces][self._printed :]
        if finished:
            self._printed = 0
            self._apart = isinstance(last.pieces[0], Gap)
            self._cut(last.begin)
        pieces += last.pieces[self._printed : last.firm]
        self._printed = max(self._printed, last.firm)
        return pieces

    def _cut(self, lines: int) -> None:
        """Leave off the first so many lines."""
        start = 0
        for _ in range(lines):
            start = self._source.index("\n", start) + 1
        self._source = self._source[start:]
        self._settled -= start


def _lines(pieces: Iterable[Piece], page: Page) -> list[Line]:
    return [line for piece in pieces for line in piece.lines(page)]
