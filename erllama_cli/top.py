"""`erllama top`: models, requests and the cache at work."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures

if TYPE_CHECKING:
    from collections.abc import Callable

    from erllama_daemon.messages import Activity

EXAMPLES = """\b
Examples:
  erllama top
  erllama top --once
  erllama top --json | jq '.requests[].tokens_per_s'
  erllama top --json -n 3 --interval 0.5"""


def top(
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, max=3600, metavar="SECONDS", help="Look again after so long.")
    ] = 1.0,
    count: Annotated[
        int | None, typer.Option("-n", "--count", min=1, metavar="COUNT", help="Leave after so many looks.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print what there is now, and leave.")] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Watch models, requests and the cache at work.

    q leaves. Without a terminal, it prints what there is now. Starts no daemon, and ends with 4 if none runs.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.daemon.found import client_of_running
        from erllama_cli.drawing.screen import can_draw
        from erllama_daemon.directories import user_directories

        client = client_of_running(user_directories())
        if once or as_json or not can_draw(sys.stdout):
            _print(client.activity, interval, 1 if once or count is None else count, as_json=as_json)
            return
        from erllama_cli.watching.live import watch

        watch(client.activity, interval, count)


def _print(look: Callable[[], Activity], interval_s: float, count: int, *, as_json: bool) -> None:
    import time

    from erllama_cli.output import print_json, write_text
    from erllama_cli.watching.snapshot import print_snapshot

    before = None
    for number in range(count):
        if number:
            time.sleep(interval_s)
            write_text("" if as_json else "\n")
        shown = look()
        if as_json:
            print_json(shown)
        else:
            print_snapshot(shown, before)
        before = shown
