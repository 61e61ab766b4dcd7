"""Rows for somebody at a terminal: a table or, where that is too narrow for one, each row on lines of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from erllama_cli.drawing.screen import can_draw, may_colour
from erllama_cli.one_line import columns, line_width
from erllama_cli.output import Table

_GAP = 2
_ANY_HEIGHT = 25
_NARROWEST = 12
"""Columns that a text needs to be readable in a table; a number needs all of its own."""


def listing(table: Table) -> str:
    """`table` as text, with escape sequences where stdout shows them, and no line wider than the terminal."""
    width = line_width()
    return _drawn(table, width) if _least_width(table) <= width else "".join(_stacked(table, width))


def _least_width(table: Table) -> int:
    def needed(column: int, name: str) -> int:
        longest = max(columns(row[column]) for row in [table.header, *table.rows])
        return longest if name in table.numeric else min(longest, max(_NARROWEST, columns(name)))

    return sum(needed(*each) + _GAP for each in enumerate(table.header))


def _drawn(table: Table, width: int) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in table.header:
        is_number = name in table.numeric
        drawn.add_column(name, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    styled = may_colour() and can_draw(sys.stdout)
    # Told its width alone, rich takes a dumb terminal for 80 columns.
    console = Console(width=width, height=_ANY_HEIGHT, color_system="auto" if styled else None, highlight=False)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get()


def _stacked(table: Table, width: int) -> Iterator[str]:
    indent = max(columns(name) for name in table.header) + _GAP
    for place, row in enumerate(table.rows):
        if place:
            yield "\n"
        for name, cell in zip(table.header, row, strict=True):
            first, *rest = _folded(cell, max(width - indent, 1)) or [""]
            yield f"{name}{' ' * (indent - columns(name))}{first}".rstrip() + "\n"
            yield from (f"{' ' * indent}{line}\n" for line in rest)


def _folded(text: str, width: int) -> Sequence[str]:
    from textwrap import wrap

    return wrap(text, width, break_on_hyphens=False)
