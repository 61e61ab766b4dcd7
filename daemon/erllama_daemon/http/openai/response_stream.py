"""A response on its way to the client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import msgspec

from erllama_daemon.http.answering.several import Several
from erllama_daemon.http.event_stream import sent_event
from erllama_daemon.http.openai import response_events as events
from erllama_daemon.http.openai.failure import ResponseError
from erllama_daemon.http.openai.response_answer import OpenAiResponse
from erllama_daemon.http.openai.response_events import ResponseEvent
from erllama_daemon.http.openai.response_output import ComingOutput, Numbers
from erllama_daemon.messages import Done, Failure, Stats


async def sent_response(
    answers: Several, begun: OpenAiResponse, keep: Callable[[Stats], Awaitable[None]]
) -> AsyncGenerator[bytes, None]:
    """The events as they are sent. `keep` is called before the client hears that the response is there."""
    numbers = Numbers()
    output = ComingOutput(numbers)
    yield _sent(events.ResponseCreated(sequence_number=numbers.next(), response=begun))
    yield _sent(events.ResponseInProgress(sequence_number=numbers.next(), response=begun))
    async with aclosing(answers.events()) as heard:
        async for _index, event in heard:
            if isinstance(event, Failure):
                failed = msgspec.structs.replace(
                    begun, status="failed", error=ResponseError.of(event), output=output.items
                )
                yield _sent(events.ResponseFailed(sequence_number=numbers.next(), response=failed))
                return
            for made in output.of(event):
                yield _sent(made)
            if isinstance(event, Done):
                for made in output.end(event.stats):
                    yield _sent(made)
                await keep(event.stats)
                ended = begun.ended(event.stats, output.items)
                last = events.ResponseIncomplete if ended.status == "incomplete" else events.ResponseCompleted
                yield _sent(last(sequence_number=numbers.next(), response=ended))


def _sent(event: ResponseEvent) -> bytes:
    return sent_event(event, event.kind)
