"""The endpoint that goes on with a text."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.http.answering.asking import Asking
from erllama_daemon.http.answering.several import Several
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.cache_header import Reuse, header_of_whole
from erllama_daemon.http.calls import Calls
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.event_stream import EventStream, sent_event
from erllama_daemon.http.hang_up import cancelled_if_gone
from erllama_daemon.http.llama_server.completion_answer import (
    CompletionPiece,
    ServerCompletion,
    completion_of,
    piece_of,
)
from erllama_daemon.http.llama_server.completion_request import ServerCompletionRequest
from erllama_daemon.http.llama_server.failure import ServerFailure, failed, failure_body
from erllama_daemon.http.llama_server.model_choice import ModelChoice
from erllama_daemon.messages import CompleteRequest, Done, Failure, Thinking, Token, TokenizeRequest


class CompletionEndpoint:
    """No template comes in between: a model reads the text and goes on with it."""

    def __init__(self, asking: Asking, calls: Calls, choice: ModelChoice) -> None:
        self._asking = asking
        self._calls = calls
        self._choice = choice

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(
                method="POST",
                path="/completion",
                handler=self.complete,
                body=ServerCompletionRequest,
                answer=ServerCompletion,
                events=(CompletionPiece, ServerCompletion, ServerFailure),
                stream="sse",
                query={"model": "The model, if the body names none."},
                dialect="llama.cpp",
                doors=EVERYBODY,
                failed=failed,
                error=ServerFailure,
            )
        ]

    async def complete(self, request: Request) -> Response:
        """A text goes on, as llama.cpp's server has it. A client that hangs up cancels."""
        body = await read_body(request, ServerCompletionRequest)
        model = await self._choice.choose(body.model, request.query_params.get("model"))
        asked = await body.complete(model, lambda text, first: self._tokens(model, text, first))
        answers = Several(self._asking, [[asked]])
        async with cancelled_if_gone(request, answers.cancel):
            await answers.start()
            if body.stream:
                reuse = await answers.begin()
                return EventStream(_pieces(body, asked, answers, reuse, model), answers.cancel, reuse.header)
            [[stats]] = await answers.finished()
        response = json_response(completion_of(body, asked.sampling, stats, model))
        response.headers.update(header_of_whole(stats))
        return response

    async def _tokens(self, model: str, text: str, first: bool) -> list[int]:
        return (await self._calls.tokenize(TokenizeRequest(model=model, text=text, first=first))).tokens


async def _pieces(
    body: ServerCompletionRequest, asked: CompleteRequest, answers: Several, reuse: Reuse, model: str
) -> AsyncGenerator[bytes, None]:
    number = 0
    async for _index, event in answers.events():
        match event:
            case Token() | Thinking():
                number += 1
                yield sent_event(piece_of(event.text, number, reuse))
            case Done():
                yield sent_event(completion_of(body, asked.sampling, event.stats, model))
            case Failure():
                yield sent_event(failure_body(event))
