"""`erllama cache evict`: what a model holds live goes into the cache."""

from __future__ import annotations

from erllama_cli import options
from erllama_cli.client import Client
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, model_name
from erllama_cli.output import print_json
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import Evicted, ModelRequest

EXAMPLES = """\b
Examples:
  erllama cache evict demo
  erllama cache evict demo --json | jq .saved"""


def evict(
    model: ModelArgument, as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """Save what a model holds live and let it go; the model stays loaded.

    Returns when everything is in the cache. Starts no daemon: without one, nothing is live.
    """
    with reported_failures(as_json=as_json, debug=debug):
        client = Client(user_directories())
        request = ModelRequest(model=model_name(model))
        evicted = client.evict(request) if client.answers() else Evicted(sequences=0, saved=0)
        if as_json:
            print_json(evicted)
        elif not quiet:
            print(f"sequences let go: {evicted.sequences:,}, blocks saved: {evicted.saved:,}")
