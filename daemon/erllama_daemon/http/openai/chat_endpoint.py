"""The endpoint of chats."""

from __future__ import annotations

import itertools
import secrets
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.http.answering.asking import Asking
from erllama_daemon.http.answering.several import Several
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.cache_header import header_of_whole
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.event_stream import EventStream
from erllama_daemon.http.hang_up import cancelled_if_gone
from erllama_daemon.http.openai.asked import FINGERPRINT, now
from erllama_daemon.http.openai.chat_answer import ChatChoice, ChatChunk, ChatCompletion
from erllama_daemon.http.openai.chat_request import ChatRequest
from erllama_daemon.http.openai.chat_stream import ChatStream
from erllama_daemon.http.openai.failure import OpenAiFailure, failed
from erllama_daemon.http.openai.usage import Usage


class ChatEndpoint:
    """Chats without a memory of their own: clients send the whole conversation each time."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(
                method="POST",
                path="/v1/chat/completions",
                handler=self.create,
                body=ChatRequest,
                answer=ChatCompletion,
                events=ChatChunk,
                stream="sse",
                dialect="openai",
                doors=EVERYBODY,
                failed=partial(failed, prompt="messages"),
                error=OpenAiFailure,
            )
        ]

    async def create(self, request: Request) -> Response:
        """Answers to a conversation, whole or as they come. A client that hangs up cancels."""
        body = await read_body(request, ChatRequest)
        answers = Several(self._asking, [body.asked()])
        async with cancelled_if_gone(request, answers.cancel):
            await answers.start()
            number, created = f"chatcmpl-{secrets.token_hex(16)}", now()
            if body.stream:
                stream = ChatStream(
                    id=number,
                    created=created,
                    model=body.model,
                    has_logprobs=bool(body.logprobs),
                    wants_usage=body.wants_usage,
                )
                headers = (await answers.begin()).header
                return EventStream(stream.sent(answers), answers.cancel, headers)
            groups = await answers.finished()
        stats = [*itertools.chain.from_iterable(groups)]
        completion = ChatCompletion(
            id=number,
            created=created,
            model=body.model,
            choices=[ChatChoice.of(index, each) for index, each in enumerate(stats)],
            usage=Usage.of(groups),
            system_fingerprint=FINGERPRINT,
        )
        response = json_response(completion)
        response.headers.update(header_of_whole(stats[0]))
        return response
