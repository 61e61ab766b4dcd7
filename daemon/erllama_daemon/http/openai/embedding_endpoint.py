"""The endpoint of embeddings."""

from __future__ import annotations

import base64
from array import array
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon import frames
from erllama_daemon.errors import FieldRefused
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.calls import Calls
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.hang_up import unless_gone
from erllama_daemon.http.openai.failure import OpenAiFailure, failed
from erllama_daemon.http.openai.prompts import GivenPrompts, prompts_of
from erllama_daemon.http.vectors import unpack_vector
from erllama_daemon.messages import EmbedRequest

_NUMBER_BYTES = array("f").itemsize

INPUTS_LIMIT = 2048
"""How many texts may be embedded in one request, as OpenAI's API has it."""


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/embeddings`. `dimensions` can only be what the model has."""

    model: str
    input: GivenPrompts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """The vector of one input, of length 1: numbers or, as Base64, little-endian 32-bit numbers."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(msgspec.Struct, frozen=True):
    """How many tokens were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `POST /v1/embeddings`."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class EmbeddingEndpoint:
    """Loads its model if it is not loaded."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(
                method="POST",
                path="/v1/embeddings",
                handler=self.create,
                body=EmbeddingRequest,
                answer=EmbeddingList,
                dialect="openai",
                doors=EVERYBODY,
                failed=failed,
                error=OpenAiFailure,
            )
        ]

    async def create(self, request: Request) -> Response:
        """The embeddings of some texts, or of the tokens of some. A client that hangs up cancels."""
        body = await read_body(request, EmbeddingRequest)
        embedded = await unless_gone(request, self._embedded(body))
        dimensions = len(embedded.vectors[0]) // _NUMBER_BYTES
        if body.dimensions not in (None, dimensions):
            raise FieldRefused(field="dimensions", reason=f"the model's vectors have {dimensions}")
        encode = _base64 if body.encoding_format == "base64" else unpack_vector
        data = [Embedding(index=index, embedding=encode(vector)) for index, vector in enumerate(embedded.vectors)]
        usage = EmbeddingUsage(embedded.tokens, embedded.tokens)
        return json_response(EmbeddingList(data=data, model=body.model, usage=usage))

    async def _embedded(self, body: EmbeddingRequest) -> frames.Embedded:
        prompts = prompts_of(body.input, "input", INPUTS_LIMIT)
        texts = [prompt for prompt in prompts if isinstance(prompt, str)]
        if not texts:
            return await self._calls.vectors_of_tokens(
                body.model, [prompt for prompt in prompts if isinstance(prompt, list)]
            )
        if len(texts) < len(prompts):
            raise FieldRefused(field="input", reason="texts do not go with tokens in one list")
        return await self._calls.vectors(EmbedRequest(model=body.model, texts=texts))


def _base64(vector: bytes) -> str:
    return base64.b64encode(vector).decode()
