"""The HTTP application: its endpoints, and what becomes of their errors."""

from __future__ import annotations

import os
import time
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from erllama_daemon import __version__
from erllama_daemon.catalog.listing import Listing
from erllama_daemon.config import Settings
from erllama_daemon.directories import Directories
from erllama_daemon.errors import DaemonInUse, RequestInvalid
from erllama_daemon.http.answering.answers import Answers
from erllama_daemon.http.answering.asking import Asking
from erllama_daemon.http.anthropic.endpoints import AnthropicEndpoints
from erllama_daemon.http.body import LinesResponse, error_response, json_response, read_body
from erllama_daemon.http.calls import Calls
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.llama_server.endpoints import llama_server_endpoints
from erllama_daemon.http.metrics.measures import Measures
from erllama_daemon.http.native.cache_endpoints import CacheEndpoints
from erllama_daemon.http.native.call_endpoints import CallEndpoints
from erllama_daemon.http.native.catalog_endpoints import CatalogEndpoints
from erllama_daemon.http.native.model_endpoints import ModelEndpoints
from erllama_daemon.http.native.session_endpoints import SessionEndpoints
from erllama_daemon.http.openai.endpoints import OpenAiEndpoints
from erllama_daemon.http.openai.response_ids import ResponseIds
from erllama_daemon.http.openapi import openapi_document
from erllama_daemon.http.unknown_endpoint import UnknownEndpoint
from erllama_daemon.http.visit import around
from erllama_daemon.http.watching import Watching
from erllama_daemon.messages import CompleteRequest, DaemonSettings, DaemonStatus, Event, Reloaded
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

    @property
    def connections(self) -> int:
        """How many clients are connected."""

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
        self.measures = Measures()
        self.answers = Answers(supervisor, conversations, directories.cache, self.measures.ended)
        self.asking = Asking(self.answers, conversations)
        self._response_ids = ResponseIds(directories.responses)
        self.calls = Calls(supervisor)

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        return [
            Endpoint(method="GET", path="/openapi.json", handler=self.openapi, answer=dict[str, Any], doors=EVERYBODY),
            Endpoint(method="GET", path="/v1/status", handler=self.status, answer=DaemonStatus),
            Endpoint(method="GET", path="/v1/config", handler=self.config, answer=DaemonSettings),
            Endpoint(method="POST", path="/v1/complete", handler=self.complete, body=CompleteRequest, events=Event),
            Endpoint(method="POST", path="/v1/cancel/{id}", handler=self.cancel, status=202),
            Endpoint(
                method="POST",
                path="/v1/stop",
                handler=self.stop,
                status=202,
                query={"if": "`idle`: only if nobody would miss anything."},
            ),
            Endpoint(method="POST", path="/v1/reload", handler=self.reload, answer=Reloaded),
            *CallEndpoints(self.calls).endpoints(),
            *CacheEndpoints(self._supervisor, self._conversations).endpoints(),
            *ModelEndpoints(self._supervisor).endpoints(),
            *CatalogEndpoints(self._listing()).endpoints(),
            *SessionEndpoints(self._conversations, self.answers).endpoints(),
            *self._watching().endpoints(),
            *OpenAiEndpoints(self.asking, self.calls, self._listing(), self._response_ids).endpoints(),
            *AnthropicEndpoints(self.asking, self.calls).endpoints(),
            *llama_server_endpoints(self.asking, self.calls, self._supervisor),
        ]

    def _watching(self) -> Watching:
        cache, life = self._directories.cache, self._life
        return Watching(self._supervisor, self.answers, self.measures, cache, lambda: life.connections)

    def _listing(self) -> Listing:
        supervisor = self._supervisor
        return Listing(self._directories.cache, lambda: supervisor.config, supervisor.loaded_files)

    async def openapi(self, _request: Request) -> Response:
        """This document."""
        return json_response(openapi_document(self.endpoints()))

    async def status(self, _request: Request) -> Response:
        """What the daemon and its models are doing."""
        status = DaemonStatus(
            running=True,
            socket=str(self._directories.socket),
            pid=os.getpid(),
            version=__version__,
            uptime_s=round(time.monotonic() - self._started, 3),
            models=await self._supervisor.statuses(),
            quotas=self._supervisor.quotas,
            cache_directory=str(self._directories.cache),
            data_directory=str(self._directories.data),
        )
        return json_response(self._life.told(status))

    async def config(self, _request: Request) -> Response:
        """Every key of the configuration as it is in force here, and where that comes from."""
        settings = self._life.settings
        return json_response(DaemonSettings(str(settings.path), settings.rows()))

    async def complete(self, request: Request) -> Response:
        """An answer, as it comes. A client that hangs up cancels."""
        answer = await self.asking.start(await read_body(request, CompleteRequest))
        return LinesResponse(answer.events(), answer.cancel)

    async def cancel(self, request: Request) -> Response:
        """The answer ends at its next tick. One that is unknown or has ended is fine."""
        name = request.path_params["id"]
        if not (name.isascii() and name.isdigit() and len(name) < 20):
            raise RequestInvalid(reason="the id is not a number")
        self.answers.cancel(int(name))
        return Response(status_code=202)

    async def stop(self, request: Request) -> Response:
        """Every request is cancelled and saved, then the daemon ends; with `if=idle` only if it is idle."""
        if request.query_params.get("if") == "idle" and (why := self._life.why_in_use()) is not None:
            raise DaemonInUse(why=why)
        self._life.stop()
        return Response(status_code=202)

    async def reload(self, _request: Request) -> Response:
        """The configuration is read again. One that is not valid changes nothing."""
        return json_response(self._life.reload())


def visited(asgi: ASGIApp, app: App) -> ASGIApp:
    """The application, or what it is behind, with an id for each request, and each response counted."""
    return around(asgi, app.measures.responded)


def create_app(app: App) -> Starlette:
    """The ASGI application around the endpoints."""
    endpoints = app.endpoints()
    return Starlette(
        routes=[endpoint.route for endpoint in endpoints],
        exception_handlers={HTTPException: UnknownEndpoint(endpoints).response, Exception: error_response},
    )
