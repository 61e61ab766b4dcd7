"""A table that fits the page: its widest columns give way first, and their cells are wrapped."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from erllama_cli.drawing.inline import QUIET, inline_spans
from erllama_cli.drawing.page import Line, Page, Span
from erllama_cli.one_line import columns

Alignment = Literal["left", "center", "right"]
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as Markdown; the first row is the header. `first` and `rest` stand before its first line and the others."""

    rows: Sequence[Sequence[str]]
    alignments: Sequence[Alignment]
    first: Sequence[Span]
    rest: Sequence[Span]

    def lines(self, page: Page) -> list[Line]:
        """The table on a page."""
        cells = [[inline_spans(cell, "" if index else "1") for cell in row] for index, row in enumerate(self.rows)]
        indent = sum(columns(span.text) for span in self.first)
        widths = self._widths(cells, page.width - indent)
        drawn = [line for row in cells[:1] for line in self._row(row, widths, page)]
        drawn.append([Span(_GAP.join("─" * width for width in widths), QUIET)])
        drawn += [line for row in cells[1:] for line in self._row(row, widths, page)]
        starts = itertools.chain([self.first], itertools.repeat(self.rest))
        return [page.line([*start, *line]) for start, line in zip(starts, drawn, strict=False)]

    def _widths(self, cells: Sequence[Sequence[Sequence[Span]]], room: int) -> list[int]:
        widths = [max(map(_columns, column), default=1) or 1 for column in zip(*cells, strict=True)]
        room -= len(_GAP) * (len(widths) - 1)
        while sum(widths) > room and max(widths) > 1:
            widths[widths.index(max(widths))] -= 1
        return widths

    def _row(self, row: Sequence[Sequence[Span]], widths: Sequence[int], page: Page) -> list[list[Span]]:
        wrapped = [Page(width, page.colour).broken(cell) for cell, width in zip(row, widths, strict=True)]
        height = max(map(len, wrapped), default=0)
        return [self._joined([cell[line : line + 1] for cell in wrapped], widths) for line in range(height)]

    def _joined(self, cells: Sequence[Sequence[Sequence[Span]]], widths: Sequence[int]) -> list[Span]:
        """One line of a row: at most one line of each cell."""
        spans: list[Span] = []
        for cell, width, alignment in zip(cells, widths, self.alignments, strict=True):
            content = list(itertools.chain.from_iterable(cell))
            free = max(width - _columns(content), 0)
            left = {"left": 0, "center": free // 2, "right": free}[alignment]
            spans += [Span(" " * left), *content, Span(" " * (free - left)), Span(_GAP)]
        return spans


def _columns(spans: Sequence[Span]) -> int:
    return sum(columns(span.text) for span in spans)
