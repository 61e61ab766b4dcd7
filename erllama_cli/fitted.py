"""A table made to fit the width there is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from erllama_cli.one_line import columns, cut, line_width
from erllama_cli.output import Table

_LEAST_TEXT = 14
"""The last column gets at least so many columns of the terminal, if it needs them, whatever else has to go."""


def fitted(table: Table, expendable: Sequence[str], *, whole: bool = False) -> Table:
    """`table` with its last column cut to what is left of the line.

    If that is too little, or if it is wanted `whole`, other columns go, in the order of `expendable`.
    """
    longest = max(columns(row[-1]) for row in (table.header, *table.rows))
    least = longest if whole else min(_LEAST_TEXT, longest)
    for gone in range(len(expendable) + 1):
        kept = [index for index, name in enumerate(table.header) if name not in expendable[:gone]]
        left = _left(table, kept[:-1])
        if left >= least:
            break
    rows = [[*(row[index] for index in kept[:-1]), cut(row[-1], max(left, least))] for row in table.rows]
    return Table([table.header[index] for index in kept], rows, table.numeric)


def _left(table: Table, indexes: Sequence[int]) -> int:
    """What these columns leave of a line."""
    # As `print_table` sets columns apart: on a terminal further, and with an edge.
    gap, edges = (3, 2) if sys.stdout.isatty() else (2, 0)
    widths = (max(columns(row[index]) for row in (table.header, *table.rows)) for index in indexes)
    return line_width() - edges - sum(width + gap for width in widths)
