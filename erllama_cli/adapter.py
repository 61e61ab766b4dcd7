"""`erllama adapter`: the LoRA adapters that are attached to a model, for every request."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.adapter_file import adapter_name, adapter_path
from erllama_cli.client import AdapterAction
from erllama_cli.failures import reported_failures
from erllama_cli.launcher import running_daemon
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.output import Table, print_json, print_table
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import AdapterList, AdapterRequest
from erllama_daemon.messages.checks import check_adapter_named

SHOWN_DIGITS = 12

app = typer.Typer(
    help="Attach LoRA adapters to a model, for every request.\n\nA request in flight keeps what it began with.",
    epilog="\b\nExamples:\n  erllama adapter load demo pirate.gguf\n  erllama adapter ls demo",
    no_args_is_help=True,
    rich_markup_mode=None,
)

AdapterArgument = Annotated[
    str, typer.Argument(metavar="ADAPTER", help="Its handle, the beginning of that, or its file.")
]


@app.command(
    epilog="\b\nExamples:\n  erllama adapter load demo pirate.gguf\n  erllama adapter load demo a.gguf --scale 0.5"
)
def load(
    model: ModelArgument,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The adapter's GGUF file.")],
    scale: Annotated[float, typer.Option(metavar="X", help="How strongly it is applied.")] = 1.0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Attach an adapter, and show what is attached."""
    with reported_failures(as_json=as_json, debug=debug):
        request = AdapterRequest(model=resolve_model(model), adapter=adapter_path(file), scale=scale)
        _show(_asked("load", request), as_json=as_json, quiet=quiet)


@app.command(epilog="\b\nExamples:\n  erllama adapter unload demo 0f3a")
def unload(
    model: ModelArgument,
    adapter: AdapterArgument,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Detach an adapter, and show what is still attached."""
    with reported_failures(as_json=as_json, debug=debug):
        request = AdapterRequest(model=resolve_model(model), adapter=adapter_name(adapter))
        _show(_asked("unload", request), as_json=as_json, quiet=quiet)


@app.command(
    epilog="\b\nExamples:\n  erllama adapter scale demo 0f3a 0.5\n  erllama adapter scale demo pirate.gguf -1",
    context_settings={"ignore_unknown_options": True},  # a scale may be negative
)
def scale(
    model: ModelArgument,
    adapter: AdapterArgument,
    strength: Annotated[float, typer.Argument(metavar="X", help="How strongly it is applied.")],
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Change how strongly an adapter is applied."""
    with reported_failures(as_json=as_json, debug=debug):
        request = AdapterRequest(model=resolve_model(model), adapter=adapter_name(adapter), scale=strength)
        _show(_asked("scale", request), as_json=as_json, quiet=quiet)


@app.command(epilog="\b\nExamples:\n  erllama adapter ls demo\n  erllama adapter ls demo --json | jq -r .fingerprint")
def ls(model: ModelArgument, as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Show the adapters that are attached to a model."""
    with reported_failures(as_json=as_json, debug=debug):
        request = AdapterRequest(model=resolve_model(model))
        _show(running_daemon(user_directories()).adapters("ls", request), as_json=as_json, quiet=False)


def _asked(action: AdapterAction, request: AdapterRequest) -> AdapterList:
    check_adapter_named(request)
    return running_daemon(user_directories()).adapters(action, request)


def _show(shown: AdapterList, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json(shown)
    elif not quiet:
        rows = [[adapter.handle[:SHOWN_DIGITS], f"{adapter.scale:g}", adapter.path] for adapter in shown.adapters]
        print_table(Table(("adapter", "scale", "file"), rows, numeric=frozenset({"scale"})))
