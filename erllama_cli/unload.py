"""`erllama unload`: a model's memory given back."""

from __future__ import annotations

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, model_name
from erllama_cli.output import print_json

EXAMPLES = """\b
Examples:
  erllama unload demo"""


def unload(
    model: ModelArgument, as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """Save what a model holds, and let it go.

    Waits until its requests are done. Starts no daemon.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.client import Client
        from erllama_daemon.directories import user_directories
        from erllama_daemon.messages import ModelRequest, Unloaded

        client = Client(user_directories())
        request = ModelRequest(model=model_name(model))
        done = client.unload(request) if client.answers() else Unloaded(unloaded=False)
        if as_json:
            print_json(done)
        elif not quiet:
            print("unloaded" if done.unloaded else "not loaded")
