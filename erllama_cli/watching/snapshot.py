"""One look at a daemon, printed."""

from __future__ import annotations

from erllama_cli.one_line import line_width
from erllama_cli.output import print_table, write_text
from erllama_cli.watching.rates import rates
from erllama_cli.watching.view import cache_lines, headline, models, requests
from erllama_daemon.messages import Activity


def print_snapshot(shown: Activity, before: Activity | None = None) -> None:
    """What the daemon does, as lines. Tables that would be empty are left out."""
    rate = rates(shown, before)
    write_text(f"{headline(shown)}\n")
    write_text("".join(f"{line}\n" for line in cache_lines(shown, line_width())))
    for table in (models(shown, rate), requests(shown, rate)):
        if table.rows:
            write_text("\n")
            print_table(table)
