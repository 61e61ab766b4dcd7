"""The endpoints that ask a model for something other than an answer; served while it is busy, too."""

from __future__ import annotations

import sys
from array import array
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from erllama_cache.keys import pack_tokens, unpack_tokens
from erllama_daemon import frames
from erllama_daemon.errors import InternalError
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.model_file import model_file
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

    def routes(self) -> list[Route]:
        """Every endpoint of this kind."""
        return [
            Route("/v1/tokenize", self.tokenize, methods=["POST"]),
            Route("/v1/detokenize", self.detokenize, methods=["POST"]),
            Route("/v1/render", self.render, methods=["POST"]),
            Route("/v1/embed", self.embed, methods=["POST"]),
            Route("/v1/adapters/load", self.load_adapter, methods=["POST"]),
            Route("/v1/adapters/unload", self.unload_adapter, methods=["POST"]),
            Route("/v1/adapters/scale", self.scale_adapter, methods=["POST"]),
            Route("/v1/adapters/ls", self.list_adapters, methods=["POST"]),
        ]

    async def tokenize(self, request: Request) -> Response:
        """POST /v1/tokenize, TokenizeRequest → Tokenized."""
        body = await read_body(request, TokenizeRequest)
        call = frames.Tokenize(self._supervisor.next_id(), body.text, body.first)
        answer = await self._call(body.model, call, frames.Tokens)
        return json_response(Tokenized(unpack_tokens(answer.tokens), answer.pieces))

    async def detokenize(self, request: Request) -> Response:
        """POST /v1/detokenize, DetokenizeRequest → Detokenized."""
        body = await read_body(request, DetokenizeRequest)
        check_tokens(body.tokens)
        call = frames.Detokenize(self._supervisor.next_id(), pack_tokens(body.tokens))
        return json_response(Detokenized((await self._call(body.model, call, frames.Detokenized)).text))

    async def render(self, request: Request) -> Response:
        """POST /v1/render, RenderRequest → RenderedPrompt."""
        body = await read_body(request, RenderRequest)
        check_render(body)
        call = frames.Render(self._supervisor.next_id(), body.messages, body.tools)
        answer = await self._call(body.model, call, frames.Rendered)
        return json_response(RenderedPrompt(answer.text, unpack_tokens(answer.tokens), answer.cuts))

    async def embed(self, request: Request) -> Response:
        """POST /v1/embed, EmbedRequest → Embeddings."""
        body = await read_body(request, EmbedRequest)
        check_embed(body)
        call = frames.Embed(self._supervisor.next_id(), body.texts)
        answer = await self._call(body.model, call, frames.Embedded)
        return json_response(Embeddings([*map(_unpack_vector, answer.vectors)], answer.tokens, answer.pooling))

    async def load_adapter(self, request: Request) -> Response:
        """POST /v1/adapters/load, AdapterRequest → AdapterList."""
        body = await read_body(request, AdapterRequest)
        check_adapter_load(body)
        return await self._adapters(
            body.model, frames.LoadAdapter(self._supervisor.next_id(), body.adapter, body.scale)
        )

    async def unload_adapter(self, request: Request) -> Response:
        """POST /v1/adapters/unload, AdapterRequest → AdapterList. Idempotent."""
        body = await read_body(request, AdapterRequest)
        check_adapter_named(body)
        # Before the model is loaded, for that fails while an attached adapter's file is gone.
        self._supervisor.forget_adapter(await model_file(body.model), body.adapter)
        return await self._adapters(body.model, frames.UnloadAdapter(self._supervisor.next_id(), body.adapter))

    async def scale_adapter(self, request: Request) -> Response:
        """POST /v1/adapters/scale, AdapterRequest → AdapterList."""
        body = await read_body(request, AdapterRequest)
        check_adapter_named(body)
        return await self._adapters(
            body.model, frames.ScaleAdapter(self._supervisor.next_id(), body.adapter, body.scale)
        )

    async def list_adapters(self, request: Request) -> Response:
        """POST /v1/adapters/ls, AdapterRequest → AdapterList."""
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


def _unpack_vector(packed: bytes) -> list[float]:
    numbers = array("f")
    numbers.frombytes(packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
