"""Texts and their tokens, prompts and vectors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.errors import RequestInvalid
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.calls import Calls
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.hang_up import unless_gone
from erllama_daemon.http.llama_server.failure import ServerFailure, failed
from erllama_daemon.http.llama_server.model_choice import ModelChoice
from erllama_daemon.http.llama_server.template_request import TemplatePrompt, TemplateRequest
from erllama_daemon.messages import DetokenizeRequest, EmbedRequest, TokenizeRequest

_EUCLIDEAN = 2
_QUERY = {"model": "The model, if the body names none."}


class ContentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /tokenize`. Control tokens are always recognised."""

    content: str
    add_special: bool = False
    with_pieces: bool = False
    model: str | None = None


class TokenPiece(msgspec.Struct, frozen=True):
    """A token and its text; bytes that are no whole character are U+FFFD."""

    id: int
    piece: str


class ContentTokens(msgspec.Struct, frozen=True):
    """The tokens of a text."""

    tokens: list[int | TokenPiece]


class TokensRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /detokenize`."""

    tokens: list[int]
    model: str | None = None


class TokensContent(msgspec.Struct, frozen=True):
    """The text of some tokens."""

    content: str


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /embedding` and `POST /embeddings`: a text or several, as `content` or as `input`."""

    content: str | list[str] | None = None
    input: str | list[str] | None = None
    embd_normalize: int = _EUCLIDEAN
    model: str | None = None

    def embed(self, model: str) -> EmbedRequest:
        """As erllama is asked. Raises RequestInvalid."""
        texts = self.input if self.content is None else self.content
        if texts is None:
            raise RequestInvalid(reason="it has no content")
        if self.embd_normalize != _EUCLIDEAN:
            raise RequestInvalid(reason="embd_normalize is 2 here: every vector has the length 1")
        return EmbedRequest(model=model, texts=[texts] if isinstance(texts, str) else texts)


class ServerEmbedding(msgspec.Struct, frozen=True):
    """The vector of the text with this number, in a list of its own."""

    index: int
    embedding: list[list[float]]


class TextEndpoints:
    """Each loads its model if it is not loaded."""

    def __init__(self, calls: Calls, choice: ModelChoice) -> None:
        self._calls = calls
        self._choice = choice

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            _endpoint("/tokenize", self.tokenize, ContentRequest, ContentTokens),
            _endpoint("/detokenize", self.detokenize, TokensRequest, TokensContent),
            _endpoint("/apply-template", self.apply_template, TemplateRequest, TemplatePrompt),
            _endpoint("/embedding", self.embed, EmbeddingRequest, list[ServerEmbedding]),
            _endpoint("/embeddings", self.embed, EmbeddingRequest, list[ServerEmbedding]),
        ]

    async def tokenize(self, request: Request) -> Response:
        """The tokens of a text, as llama.cpp's server gives them."""
        body = await read_body(request, ContentRequest)
        asked = TokenizeRequest(model=await self._model(request, body.model), text=body.content, first=body.add_special)
        found = await self._calls.tokenize(asked)
        if not body.with_pieces:
            return json_response(ContentTokens([*found.tokens]))
        return json_response(
            ContentTokens([TokenPiece(*each) for each in zip(found.tokens, found.pieces, strict=True)])
        )

    async def detokenize(self, request: Request) -> Response:
        """The text of some tokens, as llama.cpp's server gives it."""
        body = await read_body(request, TokensRequest)
        asked = DetokenizeRequest(model=await self._model(request, body.model), tokens=body.tokens)
        return json_response(TokensContent((await self._calls.detokenize(asked)).text))

    async def apply_template(self, request: Request) -> Response:
        """What the chat template makes of messages, as llama.cpp's server gives it."""
        body = await read_body(request, TemplateRequest)
        rendered = await self._calls.render(body.render(await self._model(request, body.model)))
        return json_response(TemplatePrompt(rendered.text))

    async def embed(self, request: Request) -> Response:
        """The embeddings of some texts, as llama.cpp's server gives them. A client that hangs up cancels."""
        body = await read_body(request, EmbeddingRequest)
        asked = body.embed(await self._model(request, body.model))
        found = await unless_gone(request, self._calls.embed(asked))
        return json_response([ServerEmbedding(index, [vector]) for index, vector in enumerate(found.embeddings)])

    async def _model(self, request: Request, named: str | None) -> str:
        return await self._choice.choose(named, request.query_params.get("model"))


def _endpoint(path: str, handler: Callable[[Request], Awaitable[Response]], body: object, answer: object) -> Endpoint:
    return Endpoint(
        method="POST",
        path=path,
        handler=handler,
        body=body,
        answer=answer,
        query=_QUERY,
        dialect="llama.cpp",
        doors=EVERYBODY,
        failed=failed,
        error=ServerFailure,
    )
