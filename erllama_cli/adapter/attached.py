"""The adapters that are attached to a model, as they are asked for and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli.completion.candidates import SHOWN_DIGITS, complete_adapter
from erllama_cli.output import Table, print_json, print_table

if TYPE_CHECKING:
    from erllama_cli.client import AdapterAction
    from erllama_daemon.messages import AdapterList, AdapterRequest

AdapterArgument = Annotated[
    str,
    typer.Argument(
        metavar="ADAPTER",
        help="Its handle, the beginning of that, or its file.",
        autocompletion=complete_adapter,
    ),
]


def ask(action: AdapterAction, request: AdapterRequest, *, quiet: bool) -> AdapterList:
    """What is attached once that is done. Raises RequestInvalid and what the daemon answers."""
    from erllama_cli.launcher import running_daemon
    from erllama_daemon.directories import user_directories
    from erllama_daemon.messages.checks import check_adapter_named

    check_adapter_named(request)
    return running_daemon(user_directories(), quiet=quiet).adapters(action, request)


def show(shown: AdapterList, *, as_json: bool, quiet: bool) -> None:
    """Print what is attached."""
    if as_json:
        print_json(shown)
    elif not quiet:
        rows = [[adapter.handle[:SHOWN_DIGITS], f"{adapter.scale:g}", adapter.path] for adapter in shown.adapters]
        print_table(Table(("adapter", "scale", "file"), rows, numeric=frozenset({"scale"})))
