"""The endpoint of embeddings."""

from __future__ import annotations

import base64
from array import array
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from erllama_cache.keys import pack_tokens
from erllama_daemon import frames
from erllama_daemon.errors import EmbeddingEmpty, FieldRefused, InternalError
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.model_file import model_file
from erllama_daemon.http.openai.failure import OpenAiFailure, failed
from erllama_daemon.http.openai.prompts import GivenPrompts, prompts_of
from erllama_daemon.http.vectors import unpack_vector
from erllama_daemon.messages.checks import check_tokens
from erllama_daemon.models.supervisor import Supervisor

_NUMBER_BYTES = array("f").itemsize


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

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

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
        """The embeddings of some texts, or of the tokens of some."""
        body = await read_body(request, EmbeddingRequest)
        embedded = await self._embedded(body)
        dimensions = len(embedded.vectors[0]) // _NUMBER_BYTES
        if body.dimensions not in (None, dimensions):
            raise FieldRefused(field="dimensions", reason=f"the model's vectors have {dimensions}")
        encode = _base64 if body.encoding_format == "base64" else unpack_vector
        data = [Embedding(index=index, embedding=encode(vector)) for index, vector in enumerate(embedded.vectors)]
        usage = EmbeddingUsage(embedded.tokens, embedded.tokens)
        return json_response(EmbeddingList(data=data, model=body.model, usage=usage))

    async def _embedded(self, body: EmbeddingRequest) -> frames.Embedded:
        texts: list[str] = []
        prompts: list[bytes] = []
        for number, prompt in enumerate(prompts_of(body.input, "input"), 1):
            if not prompt:
                raise EmbeddingEmpty(number=number)
            if isinstance(prompt, str):
                texts.append(prompt)
            else:
                check_tokens(prompt)
                prompts.append(pack_tokens(prompt))
        if texts and prompts:
            raise FieldRefused(field="input", reason="texts do not go with tokens in one list")
        call = frames.Embed(self._supervisor.next_id(), texts, prompts)
        answer = await self._supervisor.call(body.model, await model_file(body.model), call)
        if not isinstance(answer, frames.Embedded):
            raise InternalError(reason=f"the worker answered texts with {type(answer).__name__}")
        return answer


def _base64(vector: bytes) -> str:
    return base64.b64encode(vector).decode()
