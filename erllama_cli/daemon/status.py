"""`erllama daemon status`: what the daemon is and holds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import short_name
from erllama_cli.output import Table, print_json, print_table, readable_bytes, readable_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from erllama_daemon.messages import DaemonStatus, ModelStatus

EXAMPLES = """\b
Examples:
  erllama daemon status
  erllama daemon status --json | jq .models"""


def status(as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Show the daemon and the models it holds.

    Ends with 4 if none runs; starts none.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.client import Client
        from erllama_cli.daemon.folders import told_elsewhere
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
            _print_status(found, told_elsewhere(directories, found.cache_directory, found.data_directory))
        if found is None:
            raise typer.Exit(EXIT_UNREACHABLE)


def _print_status(status: DaemonStatus, elsewhere: str | None) -> None:
    if elsewhere is not None:
        from erllama_cli.daemon.folders import REMEDY

        print(f"{elsewhere}. {REMEDY}", file=sys.stderr)
    for name, value in _facts(status):
        print(f"{name:8} {value}")
    if status.models:
        print_table(
            Table(
                ("model", "status", "context", "quant", "queued", "memory", "process"),
                [_model_row(model) for model in status.models],
                numeric=frozenset({"context", "queued", "memory", "process"}),
            )
        )


_ORIGINS = {
    "command": "an erllama command",
    "systemd": "systemd",
    "foreground": "somebody who keeps it in the foreground",
}


def _facts(status: DaemonStatus) -> Iterator[tuple[str, str]]:
    yield "process", str(status.pid) + (", which saves what it holds and ends" if status.draining else "")
    yield "version", _version(status)
    yield "up for", readable_seconds(status.uptime_s or 0.0)
    if status.started_by is not None:
        yield "begun by", _ORIGINS[status.started_by]
    if status.idle_exit_s is not None:
        yield "ends", f"when it has been idle for {readable_seconds(status.idle_exit_s)}"
    yield "socket", status.socket
    if status.url is not None:
        yield "http", status.url
    if status.log is not None:
        yield "log", status.log
    elif status.started_by == "systemd":
        yield "log", "journalctl --user -u erllama"
    if status.cache_directory is not None:
        yield "cache", status.cache_directory
    if status.data_directory is not None:
        yield "data", status.data_directory


def _version(status: DaemonStatus) -> str:
    from erllama_cli.versions import Age, age_of
    from erllama_daemon import __version__

    match age_of(status.version):
        case Age.OLDER:
            return f"{status.version}, older than this command ({__version__}): erllama daemon restart"
        case Age.NEWER:
            return f"{status.version}, newer than this command ({__version__})"
        case Age.SAME:
            return str(status.version)


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
