"""The HTTP application: requests are checked here, and errors get their status here."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TypeVar
from weakref import WeakValueDictionary

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from erllama_cache.errors import ErllamaError
from erllama_daemon import __version__
from erllama_daemon.answer import Answer, Question
from erllama_daemon.directories import Directories
from erllama_daemon.errors import (
    EXIT_CONTEXT,
    EXIT_MODEL,
    EXIT_USAGE,
    InternalError,
    NoSession,
    PromptEmpty,
    RequestInvalid,
    SessionUnknown,
)
from erllama_daemon.messages import CompleteRequest, DaemonStatus, Event, Failure, NewSession, Sampling
from erllama_daemon.models import find_model
from erllama_daemon.sessions import Sessions
from erllama_daemon.supervisor import Supervisor

JSON = "application/json"
NDJSON = "application/x-ndjson"

_HTTP_STATUS = {EXIT_USAGE: 400, EXIT_MODEL: 404, EXIT_CONTEXT: 413}
_Body = TypeVar("_Body")


class App:
    """The endpoints. `stop` is called once, when a client asks the daemon to end."""

    def __init__(
        self, directories: Directories, supervisor: Supervisor, sessions: Sessions, stop: Callable[[], None]
    ) -> None:
        self._directories = directories
        self._supervisor = supervisor
        self._sessions = sessions
        self._stop = stop
        self._started = time.monotonic()
        # A lock lives as long as an answer holds it.
        self._turn_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._answers: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Route]:
        """Every endpoint."""
        return [
            Route("/v1/status", self.status, methods=["GET"]),
            Route("/v1/complete", self.complete, methods=["POST"]),
            Route("/v1/sessions", self.create_session, methods=["POST"]),
            Route("/v1/sessions/latest", self.latest_session, methods=["GET"]),
            Route("/v1/sessions/{id}", self.get_session, methods=["GET"]),
            Route("/v1/stop", self.stop, methods=["POST"]),
        ]

    async def status(self, _request: Request) -> Response:
        """GET /v1/status → DaemonStatus."""
        status = DaemonStatus(
            running=True,
            socket=str(self._directories.socket),
            pid=os.getpid(),
            version=__version__,
            uptime_s=round(time.monotonic() - self._started, 3),
            models=await self._supervisor.statuses(),
        )
        return _json(status)

    async def complete(self, request: Request) -> Response:
        """POST /v1/complete, CompleteRequest → NDJSON of Event. A client that hangs up cancels."""
        question = await self._question(await _body(request, CompleteRequest))
        turn_lock = asyncio.Lock()
        if question.session is not None:
            turn_lock = self._turn_locks.setdefault(question.session, turn_lock)
        answer = Answer(question, self._supervisor, self._sessions, turn_lock)
        task = asyncio.create_task(answer.run())
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        return StreamingResponse(_lines(answer.events()), media_type=NDJSON)

    async def create_session(self, request: Request) -> Response:
        """POST /v1/sessions, NewSession → Session."""
        body = await _body(request, NewSession)
        find_model(body.model)
        return _json(await asyncio.to_thread(self._sessions.create, body.model))

    async def latest_session(self, _request: Request) -> Response:
        """GET /v1/sessions/latest → Session."""
        return _json(await asyncio.to_thread(self._sessions.latest))

    async def get_session(self, request: Request) -> Response:
        """GET /v1/sessions/ID → Session; the beginning of an id will do if only one begins so."""
        return _json(await asyncio.to_thread(self._sessions.get, request.path_params["id"]))

    async def stop(self, _request: Request) -> Response:
        """POST /v1/stop: every request is cancelled and saved, then the daemon ends."""
        self._stop()
        return Response(status_code=202)

    async def finish_answers(self) -> None:
        """Waits until every answer that was cut off is kept."""
        if self._answers:
            await asyncio.wait(self._answers)

    async def _question(self, request: CompleteRequest) -> Question:
        _check(request)
        if request.session is not None:
            session = await asyncio.to_thread(self._sessions.get, request.session)
            return Question(request, session.model, find_model(session.model), session.id)
        if request.model is None:
            raise RequestInvalid(reason="it names neither a model nor a session")
        return Question(request, request.model, find_model(request.model), None)


def create_app(app: App, lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]]) -> Starlette:
    """The ASGI application around the endpoints."""
    return Starlette(
        routes=app.routes(),
        lifespan=lifespan,
        exception_handlers={ErllamaError: _on_error},
    )


async def _on_error(_request: Request, error: Exception) -> Response:
    failure = Failure.of(error if isinstance(error, ErllamaError) else InternalError(reason=repr(error)))
    status = 404 if isinstance(error, SessionUnknown | NoSession) else _HTTP_STATUS.get(failure.exit_code, 500)
    return _json(failure, status)


async def _body(request: Request, kind: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.MsgspecError as error:
        raise RequestInvalid(reason=error) from error


async def _lines(events: AsyncGenerator[Event, None]) -> AsyncIterator[bytes]:
    async with aclosing(events) as open_events:  # closed at once when the client goes away, not when collected
        async for event in open_events:
            yield msgspec.json.encode(event) + b"\n"


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type=JSON)


def _check(request: CompleteRequest) -> None:
    if not request.messages or not request.messages[-1].text.strip():
        raise PromptEmpty
    if request.max_tokens < 1:
        raise RequestInvalid(reason="max_tokens must be at least 1")
    _check_sampling(request.sampling)


def _check_sampling(sampling: Sampling) -> None:
    limits = {
        "temperature must be a number from 0 up": 0 <= sampling.temperature < float("inf"),
        "top_k must be 0 or more": sampling.top_k >= 0,
        "top_p must lie between 0 and 1": 0 <= sampling.top_p <= 1,
        "min_p must lie between 0 and 1": 0 <= sampling.min_p <= 1,
        "repeat_penalty must be above 0": 0 < sampling.repeat_penalty < float("inf"),
        "seed must lie between 0 and 4294967294": sampling.seed is None or 0 <= sampling.seed < 2**32 - 1,
    }
    for reason, holds in limits.items():
        if not holds:
            raise RequestInvalid(reason=reason)
