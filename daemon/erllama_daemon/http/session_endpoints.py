"""The endpoints of conversations."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.messages import NewSession
from erllama_daemon.models.file import find_model
from erllama_daemon.sessions import Sessions


class SessionEndpoints:
    """Each asks the database in a thread of its own."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """Every endpoint of this kind."""
        return [
            Route("/v1/sessions", self.create, methods=["POST"]),
            Route("/v1/sessions/latest", self.latest, methods=["GET"]),
            Route("/v1/sessions/{id}", self.get, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        """POST /v1/sessions, NewSession → Session."""
        body = await read_body(request, NewSession)
        find_model(body.model)
        return json_response(await asyncio.to_thread(self._sessions.create, body.model))

    async def latest(self, _request: Request) -> Response:
        """GET /v1/sessions/latest → Session."""
        return json_response(await asyncio.to_thread(self._sessions.latest))

    async def get(self, request: Request) -> Response:
        """GET /v1/sessions/ID → Session; the beginning of an id will do if only one begins so."""
        return json_response(await asyncio.to_thread(self._sessions.get, request.path_params["id"]))
