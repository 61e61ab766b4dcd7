"""All of OpenAI's API that there is."""

from __future__ import annotations

from erllama_daemon.catalog.listing import Listing
from erllama_daemon.http.answering.asking import Asking
from erllama_daemon.http.calls import Calls
from erllama_daemon.http.endpoint import Endpoint
from erllama_daemon.http.openai.chat_endpoint import ChatEndpoint
from erllama_daemon.http.openai.completion_endpoint import CompletionEndpoint
from erllama_daemon.http.openai.embedding_endpoint import EmbeddingEndpoint
from erllama_daemon.http.openai.model_endpoints import OpenAiModelEndpoints
from erllama_daemon.http.openai.response_endpoints import ResponseEndpoints
from erllama_daemon.http.openai.response_ids import ResponseIds


class OpenAiEndpoints:
    """What OpenAI's clients ask for."""

    def __init__(self, asking: Asking, calls: Calls, listing: Listing, ids: ResponseIds) -> None:
        self._kinds = (
            OpenAiModelEndpoints(listing),
            ChatEndpoint(asking),
            CompletionEndpoint(asking, calls),
            EmbeddingEndpoint(calls),
            ResponseEndpoints(asking, ids),
        )

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [endpoint for kind in self._kinds for endpoint in kind.endpoints()]
