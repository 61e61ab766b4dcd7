"""The endpoints of conversations."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from erllama_daemon.errors import RequestInvalid
from erllama_daemon.http.answers import Answers
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.conversations import Conversations, is_private
from erllama_daemon.messages import NewSession
from erllama_daemon.models.file import find_model


class SessionEndpoints:
    """Each asks the database in a thread of its own."""

    def __init__(self, conversations: Conversations, answers: Answers) -> None:
        self._conversations = conversations
        self._answers = answers

    def routes(self) -> list[Route]:
        """Every endpoint of this kind."""
        return [
            Route("/v1/sessions", self.create, methods=["POST"]),
            Route("/v1/sessions/latest", self.latest, methods=["GET"]),
            Route("/v1/sessions/{id}", self.get, methods=["GET"]),
            Route("/v1/sessions/{id}", self.delete, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        """POST /v1/sessions, NewSession → Session."""
        body = await read_body(request, NewSession)
        find_model(body.model)
        return json_response(await asyncio.to_thread(self._conversations.create, body.model, private=body.private))

    async def latest(self, _request: Request) -> Response:
        """GET /v1/sessions/latest → Session; a private one never is."""
        return json_response(await asyncio.to_thread(self._conversations.kept.latest))

    async def get(self, request: Request) -> Response:
        """GET /v1/sessions/ID → Session; the beginning of an id will do if only one begins so."""
        return json_response(await asyncio.to_thread(self._conversations.get, request.path_params["id"]))

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/sessions/ID → 204: what a private conversation said and computed is gone. Idempotent."""
        session = request.path_params["id"]
        if not is_private(session):
            raise RequestInvalid(reason="only private sessions can be deleted")
        await self._answers.forget_session(session)
        return Response(status_code=204)
