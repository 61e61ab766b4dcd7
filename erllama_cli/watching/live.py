"""A daemon at work, drawn over and over on a screen of its own."""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from erllama_cli.drawing.screen import may_colour
from erllama_cli.one_line import one_line
from erllama_cli.output import Table
from erllama_cli.watching.keyboard import keyboard
from erllama_cli.watching.rates import rates
from erllama_cli.watching.view import cache_lines, fitting, headline, models, requests
from erllama_daemon.messages import Activity

_STATE_STYLES = {"generating": "green", "prefilling": "yellow", "loading": "yellow", "queued": "dim", "waiting": "dim"}


def watch(look: Callable[[], Activity], interval_s: float, count: int | None) -> None:
    """Draws what `look` gives every `interval_s` seconds, `count` times or until q or Ctrl-C.

    Raises what `look` raises. However it ends, the terminal is as it was.
    """
    console = Console(color_system="auto" if may_colour() else None, highlight=False)
    before = None
    with keyboard() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            shown = look()
            live.update(_drawn(shown, before, console.width), refresh=True)
            before = shown
            if count is not None and (count := count - 1) <= 0:
                return
            if keys.wants_out(interval_s):
                return


def _drawn(shown: Activity, before: Activity | None, width: int) -> RenderableType:
    rate = rates(shown, before)
    lines = [_line(headline(shown), "bold"), *map(_line, cache_lines(shown, width))]
    tables = [_table(fitting(table, width)) for table in (models(shown, rate), requests(shown, rate))]
    return Group(*lines, *tables, _line("q leaves"))


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _table(table: Table) -> RichTable:
    rows = [table.header, *table.rows]
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(table.header):
        if name in table.numeric:
            drawn.add_column(name, justify="right", no_wrap=True, min_width=max(len(row[index]) for row in rows))
        else:
            drawn.add_column(name, no_wrap=True, overflow="ellipsis")
    for row in table.rows:
        drawn.add_row(*(Text(one_line(cell), style=_STATE_STYLES.get(cell.partition(" ")[0], "")) for cell in row))
    return drawn
