"""The endpoints that ask a model for something other than an answer; served while it is busy, too."""

from __future__ import annotations

from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from erllama_cache.keys import pack_tokens, unpack_tokens
from erllama_daemon import frames
from erllama_daemon.errors import InternalError
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.endpoint import Endpoint
from erllama_daemon.http.model_file import model_file
from erllama_daemon.http.vectors import unpack_vector
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
from erllama_daemon.messages.checks import (
    check_adapter_load,
    check_adapter_named,
    check_embed,
    check_render,
    check_tokens,
)
from erllama_daemon.models.supervisor import Supervisor

_Answer = TypeVar("_Answer")


class CallEndpoints:
    """Each loads its model if it is not loaded."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

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
        body = await read_body(request, TokenizeRequest)
        call = frames.Tokenize(self._supervisor.next_id(), body.text, body.first)
        answer = await self._call(body.model, call, frames.Tokens)
        return json_response(Tokenized(unpack_tokens(answer.tokens), answer.pieces))

    async def detokenize(self, request: Request) -> Response:
        """The text of some tokens."""
        body = await read_body(request, DetokenizeRequest)
        check_tokens(body.tokens)
        call = frames.Detokenize(self._supervisor.next_id(), pack_tokens(body.tokens))
        return json_response(Detokenized((await self._call(body.model, call, frames.Detokenized)).text))

    async def render(self, request: Request) -> Response:
        """What the chat template makes of messages, as text and as tokens."""
        body = await read_body(request, RenderRequest)
        check_render(body)
        call = frames.Render(self._supervisor.next_id(), body.messages, body.tools)
        answer = await self._call(body.model, call, frames.Rendered)
        return json_response(RenderedPrompt(answer.text, unpack_tokens(answer.tokens), answer.cuts))

    async def embed(self, request: Request) -> Response:
        """The embeddings of some texts."""
        body = await read_body(request, EmbedRequest)
        check_embed(body)
        call = frames.Embed(self._supervisor.next_id(), body.texts)
        answer = await self._call(body.model, call, frames.Embedded)
        return json_response(Embeddings([*map(unpack_vector, answer.vectors)], answer.tokens, answer.pooling))

    async def load_adapter(self, request: Request) -> Response:
        """Attaches an adapter for every request from now on."""
        body = await read_body(request, AdapterRequest)
        check_adapter_load(body)
        return await self._adapters(
            body.model, frames.LoadAdapter(self._supervisor.next_id(), body.adapter, body.scale)
        )

    async def unload_adapter(self, request: Request) -> Response:
        """Detaches an adapter. One that is not attached is fine."""
        body = await read_body(request, AdapterRequest)
        check_adapter_named(body)
        # Before the model is loaded, for that fails while an attached adapter's file is gone.
        self._supervisor.forget_adapter(await model_file(body.model), body.adapter)
        return await self._adapters(body.model, frames.UnloadAdapter(self._supervisor.next_id(), body.adapter))

    async def scale_adapter(self, request: Request) -> Response:
        """Changes how strongly an attached adapter is applied."""
        body = await read_body(request, AdapterRequest)
        check_adapter_named(body)
        return await self._adapters(
            body.model, frames.ScaleAdapter(self._supervisor.next_id(), body.adapter, body.scale)
        )

    async def list_adapters(self, request: Request) -> Response:
        """The adapters that are attached."""
        body = await read_body(request, AdapterRequest)
        return await self._adapters(body.model, frames.ListAdapters(self._supervisor.next_id()))

    async def _adapters(self, model: str, call: frames.Call) -> Response:
        answer = await self._call(model, call, frames.Adapters)
        return json_response(AdapterList(answer.adapters, answer.fingerprint))

    async def _call(self, model: str, call: frames.Call, kind: type[_Answer]) -> _Answer:
        answer = await self._supervisor.call(model, await model_file(model), call)
        if not isinstance(answer, kind):
            raise InternalError(reason=f"the worker answered {type(call).__name__} with {type(answer).__name__}")
        return answer
