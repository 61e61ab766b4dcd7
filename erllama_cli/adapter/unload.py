"""`erllama adapter unload`: an adapter let go."""

from __future__ import annotations

from erllama_cli import options
from erllama_cli.adapter.attached import AdapterArgument, ask, show
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model

EXAMPLES = """\b
Examples:
  erllama adapter unload demo 0f3a"""


def unload(
    model: ModelArgument,
    adapter: AdapterArgument,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Detach an adapter, and show what is still attached.

    One that is not attached is no failure.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.adapter.file import adapter_name
        from erllama_daemon.messages import AdapterRequest

        request = AdapterRequest(model=resolve_model(model), adapter=adapter_name(adapter))
        show(ask("unload", request, quiet=quiet), as_json=as_json, quiet=quiet)
