"""The endpoint that goes on with texts."""

from __future__ import annotations

import itertools
import secrets
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.http.answering.asking import Asking
from erllama_daemon.http.answering.several import Several
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.cache_header import header_of_whole
from erllama_daemon.http.calls import Calls
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.event_stream import EventStream
from erllama_daemon.http.hang_up import cancelled_if_gone
from erllama_daemon.http.openai.asked import FINGERPRINT, now
from erllama_daemon.http.openai.completion_answer import Completion, CompletionChoice
from erllama_daemon.http.openai.completion_request import CompletionRequest
from erllama_daemon.http.openai.completion_stream import completion_events
from erllama_daemon.http.openai.failure import OpenAiFailure, failed
from erllama_daemon.http.openai.prompts import Prompt
from erllama_daemon.http.openai.usage import Usage
from erllama_daemon.messages import TokenizeRequest


class CompletionEndpoint:
    """No template comes in between: a model reads the text and goes on with it."""

    def __init__(self, asking: Asking, calls: Calls) -> None:
        self._asking = asking
        self._calls = calls

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(
                method="POST",
                path="/v1/completions",
                handler=self.create,
                body=CompletionRequest,
                answer=Completion,
                events=Completion,
                stream="sse",
                dialect="openai",
                doors=EVERYBODY,
                failed=partial(failed, prompt="prompt"),
                error=OpenAiFailure,
            )
        ]

    async def create(self, request: Request) -> Response:
        """Texts that go on, whole or as they come. A client that hangs up cancels."""
        body = await read_body(request, CompletionRequest)
        prompts = body.prompts()
        groups = [body.asked(await self._tokens(body.model, prompt)) for prompt in prompts]
        answers = Several(self._asking, groups)
        async with cancelled_if_gone(request, answers.cancel):
            await answers.start()
            whole = Completion(
                id=f"cmpl-{secrets.token_hex(16)}",
                created=now(),
                model=body.model,
                choices=[],
                system_fingerprint=FINGERPRINT,
            )
            if body.stream:
                headers = (await answers.begin()).header
                events = completion_events(
                    answers, whole, has_logprobs=body.logprobs is not None, wants_usage=body.wants_usage
                )
                return EventStream(events, answers.cancel, headers)
            finished = await answers.finished()
        stats = [*itertools.chain.from_iterable(finished)]
        choices = [CompletionChoice.of(index, each) for index, each in enumerate(stats)]
        response = json_response(msgspec.structs.replace(whole, choices=choices, usage=Usage.of(finished)))
        response.headers.update(header_of_whole(stats[0]))
        return response

    async def _tokens(self, model: str, prompt: Prompt) -> list[int]:
        """Those that the model reads: of a text, with what it wants at the very beginning."""
        if not isinstance(prompt, str):
            return prompt
        return (await self._calls.tokenize(TokenizeRequest(model=model, text=prompt, first=True))).tokens
