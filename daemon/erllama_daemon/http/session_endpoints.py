"""The endpoints of conversations."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from erllama_daemon.errors import RequestInvalid
from erllama_daemon.http.answers import Answers
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.conversations import Conversations, is_private
from erllama_daemon.http.model_file import model_file
from erllama_daemon.messages import Fork, GoTo, NewSession, SessionChange, SessionList, SessionTurns


class SessionEndpoints:
    """Each asks the database in a thread of its own. ID is all of an id, except where it says otherwise."""

    def __init__(self, conversations: Conversations, answers: Answers) -> None:
        self._conversations = conversations
        self._answers = answers

    def routes(self) -> list[Route]:
        """Every endpoint of this kind."""
        return [
            Route("/v1/sessions", self.create, methods=["POST"]),
            Route("/v1/sessions", self.list, methods=["GET"]),
            Route("/v1/sessions/latest", self.latest, methods=["GET"]),
            Route("/v1/sessions/find", self.find, methods=["GET"]),
            Route("/v1/sessions/{id}", self.get, methods=["GET"]),
            Route("/v1/sessions/{id}", self.delete, methods=["DELETE"]),
            Route("/v1/sessions/{id}/turns", self.turns, methods=["GET"]),
            Route("/v1/sessions/{id}/goto", self.go_to, methods=["POST"]),
            Route("/v1/sessions/{id}/fork", self.fork, methods=["POST"]),
            Route("/v1/sessions/{id}/change", self.change, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        """POST /v1/sessions, NewSession → Session."""
        body = await read_body(request, NewSession)
        await model_file(body.model)
        create = self._conversations.create
        return json_response(await asyncio.to_thread(create, body.model, private=body.private, name=body.name))

    async def list(self, request: Request) -> Response:
        """GET /v1/sessions?text=TEXT → SessionList: all that are kept, or those in which the text stands."""
        text = request.query_params.get("text", "")
        kept = self._conversations.kept
        found = await asyncio.to_thread(kept.summaries, text)
        return json_response(SessionList(found, notice=await asyncio.to_thread(kept.notice)))

    async def latest(self, _request: Request) -> Response:
        """GET /v1/sessions/latest → Session; a private one never is."""
        return json_response(await asyncio.to_thread(self._conversations.kept.latest))

    async def find(self, request: Request) -> Response:
        """GET /v1/sessions/find?name=NAME → Session: by its name, its id, or the beginning of its id."""
        return json_response(await asyncio.to_thread(self._conversations.find, request.query_params.get("name", "")))

    async def get(self, request: Request) -> Response:
        """GET /v1/sessions/ID[?settled=true] → Session; the beginning of an id will do if only one begins so.

        With `settled`, and all of the id, it is answered once no answer of the session is under way any more.
        """
        session = request.path_params["id"]
        settled = request.query_params.get("settled") == "true"
        async with self._answers.turn_lock(session) if settled else contextlib.nullcontext():
            return json_response(await asyncio.to_thread(self._conversations.find, session))

    async def turns(self, request: Request) -> Response:
        """GET /v1/sessions/ID/turns → SessionTurns: those that it has gone back from, too."""
        session = request.path_params["id"]
        return json_response(SessionTurns(await asyncio.to_thread(self._conversations.holding(session).turns, session)))

    async def go_to(self, request: Request) -> Response:
        """POST /v1/sessions/ID/goto, GoTo → Session: the next turn follows that one."""
        session, body = request.path_params["id"], await read_body(request, GoTo)
        async with self._answers.turn_lock(session):
            return json_response(
                await asyncio.to_thread(self._conversations.holding(session).go_to, session, body.turn)
            )

    async def fork(self, request: Request) -> Response:
        """POST /v1/sessions/ID/fork, Fork → Session, the new one."""
        session, body = request.path_params["id"], await read_body(request, Fork)
        if is_private(session):
            raise RequestInvalid(reason="a private conversation cannot be forked")
        fork = self._conversations.kept.fork
        return json_response(await asyncio.to_thread(fork, session, name=body.name, turn=body.turn))

    async def change(self, request: Request) -> Response:
        """POST /v1/sessions/ID/change, SessionChange → Session: another name or another model."""
        session, body = request.path_params["id"], await read_body(request, SessionChange)
        if body.model is not None:
            await model_file(body.model)
        change = self._conversations.change
        return json_response(await asyncio.to_thread(change, session, name=body.name, model=body.model))

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/sessions/ID → DeletedSession: its turns and blocks go too, unless others use them as well.

        Of a private one nothing is left. Idempotent for private ones. Raises SessionUnknown for others.
        """
        session = request.path_params["id"]
        if is_private(session):
            await self._answers.forget_session(session)
            return Response(status_code=204)
        return json_response(await self._answers.delete_session(session))
