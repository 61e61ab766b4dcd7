"""`erllama adapter scale`: how strongly an adapter is applied."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.adapter.attached import AdapterArgument, ask, show
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.options.number_last import NumberLast

COMMAND = NumberLast
EXAMPLES = """\b
Examples:
  erllama adapter scale demo 0f3a 0.5
  erllama adapter scale demo pirate.gguf -1"""


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
        from erllama_cli.adapter.file import adapter_name
        from erllama_daemon.messages import AdapterRequest

        request = AdapterRequest(model=resolve_model(model), adapter=adapter_name(adapter), scale=strength)
        show(ask("scale", request, quiet=quiet), as_json=as_json, quiet=quiet)
