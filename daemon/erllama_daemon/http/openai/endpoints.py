"""All of OpenAI's API that there is."""

from __future__ import annotations

from erllama_daemon.catalog.listing import Listing
from erllama_daemon.http.asking import Asking
from erllama_daemon.http.endpoint import Endpoint
from erllama_daemon.http.openai.chat_endpoint import ChatEndpoint
from erllama_daemon.http.openai.model_endpoints import OpenAiModelEndpoints


class OpenAiEndpoints:
    """What OpenAI's clients ask for."""

    def __init__(self, asking: Asking, listing: Listing) -> None:
        self._kinds = (OpenAiModelEndpoints(listing), ChatEndpoint(asking))

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [endpoint for kind in self._kinds for endpoint in kind.endpoints()]
