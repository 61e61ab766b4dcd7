"""`erllama daemon status`: what the daemon is and holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import short_name
from erllama_cli.output import Table, print_json, print_table, readable_bytes, readable_seconds

if TYPE_CHECKING:
    from erllama_daemon.messages import DaemonStatus, ModelStatus

EXAMPLES = """\b
Examples:
  erllama daemon status
  erllama daemon status --json | jq .models"""


def status(as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Show the daemon and the models it holds. Ends with 4 if none runs; starts none."""
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.client import Client
        from erllama_daemon.directories import user_directories
        from erllama_daemon.errors import EXIT_UNREACHABLE
        from erllama_daemon.messages import DaemonStatus

        directories = user_directories()
        found = Client(directories).status()
        shown = found or DaemonStatus(running=False, socket=str(directories.socket))
        if as_json:
            print_json(shown)
        elif found is None:
            print("not running")
        else:
            _print_status(found)
        if found is None:
            raise typer.Exit(EXIT_UNREACHABLE)


def _print_status(status: DaemonStatus) -> None:
    facts = (
        ("process", str(status.pid)),
        ("version", str(status.version)),
        ("up for", readable_seconds(status.uptime_s or 0.0)),
        ("socket", status.socket),
    )
    for name, value in facts:
        print(f"{name:8} {value}")
    if status.models:
        print_table(
            Table(
                ("model", "status", "context", "quant", "queued", "memory", "process"),
                [_model_row(model) for model in status.models],
                numeric=frozenset({"context", "queued", "memory", "process"}),
            )
        )


def _model_row(model: ModelStatus) -> list[str]:
    return [
        short_name(model.id),
        model.status,
        f"{model.context_size:,}",
        model.quant_type,
        str(model.queue_depth),
        readable_bytes(model.resident_bytes),
        str(model.pid),
    ]
