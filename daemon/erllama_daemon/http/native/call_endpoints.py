"""The endpoints that ask a model for something other than an answer; served while it is busy, too."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.calls import Calls
from erllama_daemon.http.endpoint import Endpoint
from erllama_daemon.http.hang_up import unless_gone
from erllama_daemon.messages import (
    AdapterList,
    AdapterRequest,
    Detokenized,
    DetokenizeRequest,
    Embeddings,
    EmbedRequest,
    RenderedPrompt,
    RenderRequest,
    Tokenized,
    TokenizeRequest,
)


class CallEndpoints:
    """What `Calls` does, over HTTP."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(method="POST", path="/v1/tokenize", handler=self.tokenize, body=TokenizeRequest, answer=Tokenized),
            Endpoint(
                method="POST",
                path="/v1/detokenize",
                handler=self.detokenize,
                body=DetokenizeRequest,
                answer=Detokenized,
            ),
            Endpoint(method="POST", path="/v1/render", handler=self.render, body=RenderRequest, answer=RenderedPrompt),
            Endpoint(method="POST", path="/v1/embed", handler=self.embed, body=EmbedRequest, answer=Embeddings),
            Endpoint(
                method="POST",
                path="/v1/adapters/load",
                handler=self.load_adapter,
                body=AdapterRequest,
                answer=AdapterList,
            ),
            Endpoint(
                method="POST",
                path="/v1/adapters/unload",
                handler=self.unload_adapter,
                body=AdapterRequest,
                answer=AdapterList,
            ),
            Endpoint(
                method="POST",
                path="/v1/adapters/scale",
                handler=self.scale_adapter,
                body=AdapterRequest,
                answer=AdapterList,
            ),
            Endpoint(
                method="POST",
                path="/v1/adapters/ls",
                handler=self.list_adapters,
                body=AdapterRequest,
                answer=AdapterList,
            ),
        ]

    async def tokenize(self, request: Request) -> Response:
        """The tokens of a text."""
        return json_response(await self._calls.tokenize(await read_body(request, TokenizeRequest)))

    async def detokenize(self, request: Request) -> Response:
        """The text of some tokens."""
        return json_response(await self._calls.detokenize(await read_body(request, DetokenizeRequest)))

    async def render(self, request: Request) -> Response:
        """What the chat template makes of messages, as text and as tokens."""
        return json_response(await self._calls.render(await read_body(request, RenderRequest)))

    async def embed(self, request: Request) -> Response:
        """The embeddings of some texts."""
        body = await read_body(request, EmbedRequest)
        return json_response(await unless_gone(request, self._calls.embed(body)))

    async def load_adapter(self, request: Request) -> Response:
        """Attaches an adapter for every request from now on."""
        return json_response(await self._calls.load_adapter(await read_body(request, AdapterRequest)))

    async def unload_adapter(self, request: Request) -> Response:
        """Detaches an adapter. One that is not attached is fine."""
        return json_response(await self._calls.unload_adapter(await read_body(request, AdapterRequest)))

    async def scale_adapter(self, request: Request) -> Response:
        """Changes how strongly an attached adapter is applied."""
        return json_response(await self._calls.scale_adapter(await read_body(request, AdapterRequest)))

    async def list_adapters(self, request: Request) -> Response:
        """The adapters that are attached."""
        return json_response(await self._calls.list_adapters((await read_body(request, AdapterRequest)).model))
