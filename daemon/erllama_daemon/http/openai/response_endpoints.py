"""The endpoints of responses."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.errors import FieldRefused, ResponseNotKept, ResponseUnknown
from erllama_daemon.http.answering.asking import Asking
from erllama_daemon.http.answering.several import Several
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.cache_header import header_of_whole
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.event_stream import EventStream
from erllama_daemon.http.hang_up import cancelled_if_gone
from erllama_daemon.http.openai.asked import now
from erllama_daemon.http.openai.failure import OpenAiFailure, failed
from erllama_daemon.http.openai.response_answer import OpenAiResponse
from erllama_daemon.http.openai.response_events import ResponseEvent
from erllama_daemon.http.openai.response_ids import KnownResponse, ResponseIds, digest, id_of_key, new_id
from erllama_daemon.http.openai.response_output import output_of
from erllama_daemon.http.openai.response_request import ResponseRequest
from erllama_daemon.http.openai.response_stream import sent_response
from erllama_daemon.messages import Stats


class ResponseEndpoints:
    """A response goes on from an earlier one by its id, which stands for what the cache holds of that."""

    def __init__(self, asking: Asking, ids: ResponseIds) -> None:
        self._asking = asking
        self._ids = ids

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(
                method="POST",
                path="/v1/responses",
                handler=self.create,
                body=ResponseRequest,
                answer=OpenAiResponse,
                events=ResponseEvent,
                stream="sse",
                dialect="openai",
                doors=EVERYBODY,
                failed=partial(failed, prompt="input", length="max_output_tokens"),
                error=OpenAiFailure,
            ),
            Endpoint(
                method="GET",
                path="/v1/responses/{id}",
                handler=self.get,
                dialect="openai",
                doors=EVERYBODY,
                failed=failed,
                error=OpenAiFailure,
            ),
            Endpoint(
                method="DELETE",
                path="/v1/responses/{id}",
                handler=self.delete,
                dialect="openai",
                doors=EVERYBODY,
                failed=failed,
                error=OpenAiFailure,
            ),
        ]

    async def create(self, request: Request) -> Response:
        """A response, whole or as it comes, which may follow an earlier one. A client that hangs up cancels."""
        body = await read_body(request, ResponseRequest)
        follows = await self._followed(body)
        is_instructed = _is_instructed(body, follows)
        asked = body.asked(None if follows is None else follows.key, is_instructed=is_instructed)
        answers = Several(self._asking, [[asked]])
        async with cancelled_if_gone(request, answers.cancel):
            await answers.start()
            begun = OpenAiResponse.begun(new_id(), now(), body)
            if body.stream:
                headers = (await answers.begin()).header

                async def keep(stats: Stats) -> None:
                    await self._keep(begun.id, stats, follows, body)

                return EventStream(sent_response(answers, begun, keep), answers.cancel, headers)
            ((stats,),) = await answers.finished()
        begun = msgspec.structs.replace(begun, id=id_of_key(stats.finish_key))
        await self._keep(begun.id, stats, follows, body)
        response = json_response(begun.ended(stats, output_of(stats)))
        response.headers.update(header_of_whole(stats))
        return response

    async def get(self, request: Request) -> Response:
        """Nothing: what was said is not kept, only what a model needs to go on from it."""
        raise ResponseNotKept(id=request.path_params["id"][:100])

    async def delete(self, request: Request) -> Response:
        """Nothing: what was said is not kept, and what the cache holds goes by itself."""
        raise ResponseNotKept(id=request.path_params["id"][:100])

    async def _followed(self, body: ResponseRequest) -> KnownResponse | None:
        if body.previous_response_id is None:
            return None
        found = await asyncio.to_thread(self._ids.find, body.previous_response_id)
        if found is None:
            raise ResponseUnknown(id=body.previous_response_id[:100])
        return found

    async def _keep(self, response_id: str, stats: Stats, follows: KnownResponse | None, body: ResponseRequest) -> None:
        instructions = digest(body.instructions) if follows is None else follows.instructions
        in_memory = body.store is False or stats.saved != "published"
        known = KnownResponse(stats.finish_key, instructions)
        await asyncio.to_thread(self._ids.keep, response_id, known, in_memory=in_memory)


def _is_instructed(body: ResponseRequest, follows: KnownResponse | None) -> bool:
    """Whether what a request follows began with its instructions. Raises FieldRefused if it began with others."""
    if follows is None or not body.instructions:
        return False
    if follows.instructions != digest(body.instructions):
        raise FieldRefused(field="instructions", reason="what `previous_response_id` stands for began with others")
    return True
