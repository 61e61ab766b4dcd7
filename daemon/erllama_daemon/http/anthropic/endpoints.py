"""The endpoints of Anthropic's Messages API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.http.answering.asking import Asking
from erllama_daemon.http.answering.several import Said, Several
from erllama_daemon.http.anthropic.failure import REQUEST_ID, AnthropicFailure, failed
from erllama_daemon.http.anthropic.reply import Reply, TokenCount, reply_of
from erllama_daemon.http.anthropic.request import CountRequest, MessagesRequest
from erllama_daemon.http.anthropic.stream import MessageStream, Ping, StreamEvent, event_name
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.cache_header import Reuse, header_of_whole
from erllama_daemon.http.calls import Calls
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.event_stream import EventStream, sent_event
from erllama_daemon.http.hang_up import cancelled_if_gone
from erllama_daemon.request_id import current_request_id

PING_PERIOD_S = 10.0
"""After so long without a word a stream says that it is alive."""


class AnthropicEndpoints:
    """Answers, and what a prompt counts. `ping_period_s` is how long a stream may be silent."""

    def __init__(self, asking: Asking, calls: Calls, ping_period_s: float = PING_PERIOD_S) -> None:
        self._asking = asking
        self._calls = calls
        self._ping_period_s = ping_period_s

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this API."""
        return [
            Endpoint(
                method="POST",
                path="/v1/messages",
                handler=self.messages,
                body=MessagesRequest,
                answer=Reply,
                events=StreamEvent,
                stream="sse",
                dialect="anthropic",
                doors=EVERYBODY,
                failed=failed,
                error=AnthropicFailure,
            ),
            Endpoint(
                method="POST",
                path="/v1/messages/count_tokens",
                handler=self.count_tokens,
                body=CountRequest,
                answer=TokenCount,
                dialect="anthropic",
                doors=EVERYBODY,
                failed=failed,
                error=AnthropicFailure,
            ),
        ]

    async def messages(self, request: Request) -> Response:
        """The next message of a conversation, as Anthropic's API has it. A client that hangs up cancels."""
        body = await read_body(request, MessagesRequest)
        answers = Several(self._asking, [[body.complete()]])
        async with cancelled_if_gone(request, answers.cancel):
            await answers.start()
            if body.stream:
                return self._streamed(body, answers, await answers.begin())
            [[stats]] = await answers.finished()
        reply = reply_of(stats, model=body.model, max_tokens=body.max_tokens, shows_thinking=body.shows_thinking)
        response = json_response(reply)
        response.headers.update({REQUEST_ID: current_request_id(), **header_of_whole(stats)})
        return response

    async def count_tokens(self, request: Request) -> Response:
        """How many tokens a message of a conversation would be asked with."""
        body = await read_body(request, CountRequest)
        rendered = await self._calls.render(body.render())
        response = json_response(TokenCount(len(rendered.tokens)))
        response.headers[REQUEST_ID] = current_request_id()
        return response

    def _streamed(self, body: MessagesRequest, answers: Several, reuse: Reuse) -> Response:
        stream = MessageStream(model=body.model, max_tokens=body.max_tokens, shows_thinking=body.shows_thinking)
        headers = {REQUEST_ID: current_request_id(), **reuse.header}
        return EventStream(self._events(stream, answers, reuse), answers.cancel, headers)

    async def _events(self, stream: MessageStream, answers: Several, reuse: Reuse) -> AsyncGenerator[bytes, None]:
        for said in stream.begin(reuse):
            yield sent_event(said, event_name(said))
        async for heard in _with_silences(answers.events(), self._ping_period_s):
            for said in [Ping()] if heard is None else stream.said(heard[1]):
                yield sent_event(said, event_name(said))


async def _with_silences(events: AsyncGenerator[Said, None], period_s: float) -> AsyncGenerator[Said | None, None]:
    """Events as they come, and None whenever there was none for so long."""
    following: asyncio.Future[Said] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(events))
            if not (await asyncio.wait({following}, timeout=period_s))[0]:
                yield None
                continue
            try:
                heard = following.result()
            except StopAsyncIteration:
                return
            following = None
            yield heard
    finally:
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await following
