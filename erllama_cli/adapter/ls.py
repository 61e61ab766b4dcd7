"""`erllama adapter ls`: what is attached."""

from __future__ import annotations

from erllama_cli import options
from erllama_cli.adapter.attached import show
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model

EXAMPLES = """\b
Examples:
  erllama adapter ls demo
  erllama adapter ls demo --json | jq -r .fingerprint"""


def ls(
    model: ModelArgument, as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """Show the adapters that are attached to a model."""
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.launcher import running_daemon
        from erllama_daemon.directories import user_directories
        from erllama_daemon.messages import AdapterRequest

        request = AdapterRequest(model=resolve_model(model))
        show(running_daemon(user_directories(), quiet=quiet).adapters("ls", request), as_json=as_json, quiet=False)
