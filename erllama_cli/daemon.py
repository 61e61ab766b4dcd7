"""`erllama daemon`: see, stop or run the process behind every command."""

from __future__ import annotations

import os
import time

import msgspec
import typer

from erllama_cli import options
from erllama_cli.client import Client
from erllama_cli.failures import reported_failures
from erllama_cli.launcher import DAEMON_COMMAND
from erllama_cli.model import short_name
from erllama_cli.output import Table, print_json, print_table, readable_bytes, readable_seconds
from erllama_daemon.directories import Directories, user_directories
from erllama_daemon.errors import EXIT_UNREACHABLE, DaemonStillRuns
from erllama_daemon.messages import DaemonStatus, ModelStatus

STOP_TIMEOUT_S = 120.0
_PAUSE_S = 0.02

app = typer.Typer(
    help="See, stop or run the daemon. It starts by itself when a command needs it.",
    epilog="\b\nExamples:\n  erllama daemon status\n  erllama daemon stop",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Stopped(msgspec.Struct, frozen=True):
    """What `daemon stop --json` prints: whether there was a daemon to stop, and which process it was."""

    stopped: bool
    pid: int | None


@app.command(epilog="\b\nExamples:\n  erllama daemon status\n  erllama daemon status --json | jq .models")
def status(as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Show the daemon and the models it holds. Ends with 4 if none runs; starts none."""
    with reported_failures(as_json=as_json, debug=debug):
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


@app.command(epilog="\b\nExamples:\n  erllama daemon stop")
def stop(as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False) -> None:
    """Stop the daemon once it has saved what it holds. Does nothing if none runs."""
    with reported_failures(as_json=as_json, debug=debug):
        directories = user_directories()
        client = Client(directories)
        found = client.status()
        if found is not None:
            client.stop()
            _await_end(client, directories, found.pid)
        if as_json:
            print_json(Stopped(found is not None, None if found is None else found.pid))
        elif not quiet:
            print("not running" if found is None else "stopped")


@app.command(epilog="\b\nExamples:\n  erllama daemon run")
def run() -> None:
    """Run the daemon here, in the foreground, until Ctrl-C."""
    os.execv(DAEMON_COMMAND[0], DAEMON_COMMAND)


def _await_end(client: Client, directories: Directories, pid: int | None) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while client.answers() or (pid is not None and _lives(pid)):
        if time.monotonic() > deadline:
            raise DaemonStillRuns(pid=pid, seconds=STOP_TIMEOUT_S, log=directories.daemon_log)
        time.sleep(_PAUSE_S)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


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
