"""`erllama ps`: the models that are loaded, and how busy they are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import short_name
from erllama_cli.output import Table, print_json, print_table, readable_bytes, readable_seconds

if TYPE_CHECKING:
    from erllama_daemon.messages import ModelStatus

EXAMPLES = """\b
Examples:
  erllama ps
  erllama ps --json | jq '.models[].resident_bytes'"""

HEADER = ("model", "status", "running", "waiting", "context", "memory", "ram cache", "idle", "unloads in")


def ps(as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Show the models that are loaded.

    Starts no daemon: without one, there are none.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.client import Client
        from erllama_cli.results.loaded import LoadedModels
        from erllama_daemon.directories import user_directories

        status = Client(user_directories()).status()
        models = [] if status is None else status.models
        if as_json:
            print_json(LoadedModels(models))
        elif models or not sys.stdout.isatty():
            print_table(Table(HEADER, [_row(model) for model in models], numeric=frozenset(HEADER[2:7])))
        else:
            print("No model is loaded.", file=sys.stderr)


def _row(model: ModelStatus) -> list[str]:
    return [
        short_name(model.id),
        model.status,
        f"{model.running}/{model.parallel}",
        f"{model.queue_depth:,}",
        f"{model.context_size:,}",
        readable_bytes(model.resident_bytes),
        f"{readable_bytes(model.ram_bytes)}/{readable_bytes(model.ram_quota_bytes)}",
        readable_seconds(model.idle_s),
        "never" if model.expires_s is None else readable_seconds(model.expires_s),
    ]
