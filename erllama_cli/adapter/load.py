"""`erllama adapter load`: an adapter for every request."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.adapter.attached import ask, show
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model

EXAMPLES = """\b
Examples:
  erllama adapter load demo pirate.gguf
  erllama adapter load demo a.gguf --scale 0.5"""


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
        from erllama_cli.adapter.file import adapter_path
        from erllama_daemon.messages import AdapterRequest

        request = AdapterRequest(model=resolve_model(model), adapter=adapter_path(file), scale=scale)
        show(ask("load", request, quiet=quiet), as_json=as_json, quiet=quiet)
