"""Waiting until a model is loaded."""

from __future__ import annotations

from contextlib import closing

from erllama_cli.client import Client
from erllama_cli.drawing.progress import Waiting
from erllama_daemon.messages import Loading, ModelRequest, ModelStatus


def await_loaded(client: Client, request: ModelRequest, waiting: Waiting) -> ModelStatus:
    """The model once it is loaded, drawn meanwhile. Raises what `Client.load` raises."""
    try:
        with closing(client.load(request)) as events:
            for event in events:
                if not isinstance(event, Loading):
                    return event.status
                waiting.show(event)
        raise AssertionError("a load ends with Loaded or raises")
    finally:
        waiting.clear()
