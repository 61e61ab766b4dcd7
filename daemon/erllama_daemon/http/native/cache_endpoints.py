"""The endpoints that ask about the cache, or have loaded models forget some of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from erllama_cache.errors import ErllamaError
from erllama_daemon import frames
from erllama_daemon.errors import InternalError, PromptEmpty, RequestInvalid
from erllama_daemon.http.body import LinesResponse, json_response, read_body
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.http.endpoint import Endpoint
from erllama_daemon.http.model_file import model_file
from erllama_daemon.messages import (
    ExplainRequest,
    Explanation,
    Failure,
    ForgetRequest,
    Forgotten,
    RecomputeEvent,
    RecomputeRequest,
    Recomputing,
    RemoteError,
    Session,
)
from erllama_daemon.messages.checks import check_explain, check_forget, check_recompute
from erllama_daemon.models.supervisor import Supervisor

log = logging.getLogger(__name__)


class CacheEndpoints:
    """Those that name a model load it if it is not loaded."""

    def __init__(self, supervisor: Supervisor, conversations: Conversations) -> None:
        self._supervisor = supervisor
        self._conversations = conversations

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(
                method="POST", path="/v1/cache/explain", handler=self.explain, body=ExplainRequest, answer=Explanation
            ),
            Endpoint(
                method="POST",
                path="/v1/cache/recompute",
                handler=self.recompute,
                body=RecomputeRequest,
                events=RecomputeEvent,
            ),
            Endpoint(method="POST", path="/v1/cache/forget", handler=self.forget, body=ForgetRequest, answer=Forgotten),
        ]

    async def forget(self, request: Request) -> Response:
        """Loaded models let go, unsaved, of what was deleted from the disk."""
        body = await read_body(request, ForgetRequest)
        check_forget(body)
        keys = None if body.everything else [*map(bytes.fromhex, body.keys)]
        return json_response(await self._supervisor.forget(keys))

    async def explain(self, request: Request) -> Response:
        """What a request with this prompt would find in the cache. Computes nothing, and counts as no hit."""
        body = await read_body(request, ExplainRequest)
        check_explain(body)
        session = None
        if body.session is not None:
            session = await asyncio.to_thread(self._conversations.find, body.session)
        model = body.model if session is None else session.model
        if model is None:
            raise RequestInvalid(reason="it names neither a model nor a session")
        path = await model_file(model)
        if session is not None and body.model is not None and not path.samefile(await model_file(body.model)):
            raise RequestInvalid(reason=f"the session {session.id} is with {session.model}")
        answer = await self._supervisor.call(model, path, await self._call(body, session))
        if not isinstance(answer, frames.Explained):
            raise InternalError(reason=f"the worker answered Explain with {type(answer).__name__}")
        return json_response(replace(answer.explanation, model=model, session=session.id if session else None))

    async def recompute(self, request: Request) -> Response:
        """Stored blocks are computed again and compared. A client that hangs up ends it."""
        body = await read_body(request, RecomputeRequest)
        check_recompute(body)
        return LinesResponse(self._recomputing(body, await model_file(body.model)))

    async def _call(self, body: ExplainRequest, session: Session | None) -> frames.Explain:
        messages, history, scope = body.messages, None, ""
        if session is not None:
            sessions = self._conversations.holding(session.id)
            history = await asyncio.to_thread(sessions.history, session.id)
            scope = session.id if session.private else ""
            if messages:
                messages = await asyncio.to_thread(sessions.with_lost_system_prompt, session.id, messages, None)
        if history is None and not messages:
            raise PromptEmpty
        return frames.Explain(self._supervisor.next_id(), messages, history, body.adapters, body.reproducible, scope)

    async def _recomputing(self, body: RecomputeRequest, path: Path) -> AsyncGenerator[RecomputeEvent, None]:
        call = frames.Recompute(self._supervisor.next_id(), body.count, body.seed)
        try:
            async with aclosing(self._supervisor.follow(body.model, path, call)) as answers:
                async for frame in answers:
                    match frame:
                        case frames.Rechecked():
                            yield Recomputing(frame.done, frame.total)
                        case frames.RecomputeEnded():
                            yield replace(frame.result, model=body.model)
                            return
                        case frames.Failed():
                            raise RemoteError(frame.failure)
        except ErllamaError as error:
            yield Failure.of(error)
        except Exception as error:
            log.exception("blocks could not be computed again")
            yield Failure.of(InternalError(reason=repr(error)))
