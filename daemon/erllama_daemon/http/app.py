"""The HTTP application: its endpoints, and what becomes of their errors."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from erllama_cache.errors import ErllamaError
from erllama_daemon import __version__
from erllama_daemon.catalog.listing import Listing
from erllama_daemon.config import Settings
from erllama_daemon.directories import Directories
from erllama_daemon.errors import DaemonInUse, RequestInvalid
from erllama_daemon.http.answers import Answers
from erllama_daemon.http.body import LinesResponse, error_response, json_response, read_body
from erllama_daemon.http.cache_endpoints import CacheEndpoints
from erllama_daemon.http.call_endpoints import CallEndpoints
from erllama_daemon.http.catalog_endpoints import CatalogEndpoints
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.http.model_endpoints import ModelEndpoints
from erllama_daemon.http.model_file import model_file
from erllama_daemon.http.question import Question
from erllama_daemon.http.session_endpoints import SessionEndpoints
from erllama_daemon.messages import CompleteRequest, DaemonSettings, DaemonStatus, Reloaded
from erllama_daemon.messages.checks import check_complete
from erllama_daemon.models.supervisor import Supervisor


class Life(Protocol):
    """The daemon's own life, as far as clients may ask for it."""

    def stop(self) -> None:
        """Cancels every request, has it saved, and then ends the daemon. Returns before that."""

    def why_in_use(self) -> str | None:
        """What would be missed if the daemon ended now; None if nothing would. What is cached would not."""

    def reload(self) -> Reloaded:
        """Reads the configuration again. Raises ConfigInvalid, and nothing has changed."""

    @property
    def settings(self) -> Settings:
        """The configuration as it has been read last."""

    def told(self, status: DaemonStatus) -> DaemonStatus:
        """The status with what is to be said of its life."""


class App:
    """The endpoints of answers and of the daemon itself."""

    def __init__(
        self, directories: Directories, supervisor: Supervisor, conversations: Conversations, life: Life
    ) -> None:
        self._directories = directories
        self._supervisor = supervisor
        self._conversations = conversations
        self._life = life
        self._started = time.monotonic()
        self.answers = Answers(supervisor, conversations, directories.cache)

    def routes(self) -> list[Route]:
        """Every endpoint."""
        return [
            Route("/v1/status", self.status, methods=["GET"]),
            Route("/v1/config", self.config, methods=["GET"]),
            Route("/v1/complete", self.complete, methods=["POST"]),
            Route("/v1/cancel/{id}", self.cancel, methods=["POST"]),
            Route("/v1/stop", self.stop, methods=["POST"]),
            Route("/v1/reload", self.reload, methods=["POST"]),
            *CallEndpoints(self._supervisor).routes(),
            *CacheEndpoints(self._supervisor, self._conversations).routes(),
            *ModelEndpoints(self._supervisor).routes(),
            *CatalogEndpoints(self._listing()).routes(),
            *SessionEndpoints(self._conversations, self.answers).routes(),
        ]

    def _listing(self) -> Listing:
        supervisor = self._supervisor
        return Listing(self._directories.cache, lambda: supervisor.config, supervisor.loaded_files)

    async def status(self, _request: Request) -> Response:
        """GET /v1/status → DaemonStatus."""
        status = DaemonStatus(
            running=True,
            socket=str(self._directories.socket),
            pid=os.getpid(),
            version=__version__,
            uptime_s=round(time.monotonic() - self._started, 3),
            models=await self._supervisor.statuses(),
            quotas=self._supervisor.quotas,
        )
        return json_response(self._life.told(status))

    async def config(self, _request: Request) -> Response:
        """GET /v1/config → DaemonSettings: what is in force here, and where it comes from."""
        settings = self._life.settings
        return json_response(DaemonSettings(str(settings.path), settings.rows()))

    async def complete(self, request: Request) -> Response:
        """POST /v1/complete, CompleteRequest → NDJSON of Event. A client that hangs up cancels."""
        question = await self._question(await read_body(request, CompleteRequest))
        answer = self.answers.start(question)
        return LinesResponse(answer.events(), answer.cancel)

    async def cancel(self, request: Request) -> Response:
        """POST /v1/cancel/ID: the answer ends at its next tick. One that is unknown or has ended is fine."""
        name = request.path_params["id"]
        if not (name.isascii() and name.isdigit() and len(name) < 20):
            raise RequestInvalid(reason="the id is not a number")
        self.answers.cancel(int(name))
        return Response(status_code=202)

    async def stop(self, request: Request) -> Response:
        """POST /v1/stop: every request is cancelled and saved, then the daemon ends. With ?if=idle only if it is."""
        if request.query_params.get("if") == "idle" and (why := self._life.why_in_use()) is not None:
            raise DaemonInUse(why=why)
        self._life.stop()
        return Response(status_code=202)

    async def reload(self, _request: Request) -> Response:
        """POST /v1/reload → Reloaded: the configuration is read again. One that is not valid changes nothing."""
        return json_response(self._life.reload())

    async def _question(self, request: CompleteRequest) -> Question:
        check_complete(request)
        if request.session is not None:
            session = await asyncio.to_thread(self._conversations.find, request.session)
            if request.private and not session.private:
                raise RequestInvalid(reason="a session that is kept has no private turns")
            scope = session.id if session.private else ""
            return Question(request, session.model, await model_file(session.model), session.id, scope)
        if request.model is None:
            raise RequestInvalid(reason="it names neither a model nor a session")
        scope = secrets.token_hex(16) if request.private else ""
        return Question(request, request.model, await model_file(request.model), None, scope)


def create_app(app: App) -> Starlette:
    """The ASGI application around the endpoints."""
    return Starlette(
        routes=app.routes(),
        exception_handlers={ErllamaError: error_response, Exception: error_response},
    )
