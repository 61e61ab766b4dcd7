"""The endpoints of conversations."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.errors import RequestInvalid
from erllama_daemon.http.answering.answers import Answers
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.conversations import Conversations, is_private
from erllama_daemon.http.endpoint import Endpoint
from erllama_daemon.http.model_file import model_file
from erllama_daemon.messages import (
    DeletedSession,
    Fork,
    GoTo,
    NewSession,
    Session,
    SessionChange,
    SessionList,
    SessionTurns,
)


class SessionEndpoints:
    """Each asks the database in a thread of its own. ID is all of an id, except where it says otherwise."""

    def __init__(self, conversations: Conversations, answers: Answers) -> None:
        self._conversations = conversations
        self._answers = answers

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(method="POST", path="/v1/sessions", handler=self.create, body=NewSession, answer=Session),
            Endpoint(
                method="GET",
                path="/v1/sessions",
                handler=self.list,
                answer=SessionList,
                query={"text": "What stands in their name, title or messages."},
            ),
            Endpoint(method="GET", path="/v1/sessions/latest", handler=self.latest, answer=Session),
            Endpoint(
                method="GET",
                path="/v1/sessions/find",
                handler=self.find,
                answer=Session,
                query={"name": "The name, the id, or the beginning of the id."},
            ),
            Endpoint(
                method="GET",
                path="/v1/sessions/{id}",
                handler=self.get,
                answer=Session,
                query={"settled": "`true`: once the answer that is under way is kept or has ended."},
            ),
            Endpoint(
                method="DELETE",
                path="/v1/sessions/{id}",
                handler=self.delete,
                answer=DeletedSession,
                empty="A private conversation is gone.",
            ),
            Endpoint(method="GET", path="/v1/sessions/{id}/turns", handler=self.turns, answer=SessionTurns),
            Endpoint(method="POST", path="/v1/sessions/{id}/goto", handler=self.go_to, body=GoTo, answer=Session),
            Endpoint(method="POST", path="/v1/sessions/{id}/fork", handler=self.fork, body=Fork, answer=Session),
            Endpoint(
                method="POST", path="/v1/sessions/{id}/change", handler=self.change, body=SessionChange, answer=Session
            ),
        ]

    async def create(self, request: Request) -> Response:
        """A new conversation."""
        body = await read_body(request, NewSession)
        await model_file(body.model)
        create = self._conversations.create
        return json_response(await asyncio.to_thread(create, body.model, private=body.private, name=body.name))

    async def list(self, request: Request) -> Response:
        """All conversations that are kept, or those in which a text stands."""
        text = request.query_params.get("text", "")
        kept = self._conversations.kept
        found = await asyncio.to_thread(kept.summaries, text)
        return json_response(SessionList(found, notice=await asyncio.to_thread(kept.notice)))

    async def latest(self, _request: Request) -> Response:
        """The conversation used last; a private one never is."""
        return json_response(await asyncio.to_thread(self._conversations.kept.latest))

    async def find(self, request: Request) -> Response:
        """A conversation by its name, its id, or the beginning of its id."""
        return json_response(await asyncio.to_thread(self._conversations.find, request.query_params.get("name", "")))

    async def get(self, request: Request) -> Response:
        """A conversation; the beginning of an id will do if only one begins so.

        With `settled`, and all of the id, it is answered once no answer of the session is under way any more.
        """
        session = request.path_params["id"]
        settled = request.query_params.get("settled") == "true"
        async with self._answers.turn_lock(session) if settled else contextlib.nullcontext():
            return json_response(await asyncio.to_thread(self._conversations.find, session))

    async def turns(self, request: Request) -> Response:
        """Every turn of a conversation, those that it has gone back from, too."""
        session = request.path_params["id"]
        return json_response(SessionTurns(await asyncio.to_thread(self._conversations.holding(session).turns, session)))

    async def go_to(self, request: Request) -> Response:
        """The next turn follows that one."""
        session, body = request.path_params["id"], await read_body(request, GoTo)
        async with self._answers.turn_lock(session):
            return json_response(
                await asyncio.to_thread(self._conversations.holding(session).go_to, session, body.turn)
            )

    async def fork(self, request: Request) -> Response:
        """A second conversation, which shares the turns of the first."""
        session, body = request.path_params["id"], await read_body(request, Fork)
        if is_private(session):
            raise RequestInvalid(reason="a private conversation cannot be forked")
        fork = self._conversations.kept.fork
        return json_response(await asyncio.to_thread(fork, session, name=body.name, turn=body.turn))

    async def change(self, request: Request) -> Response:
        """Gives a conversation another name or another model."""
        session, body = request.path_params["id"], await read_body(request, SessionChange)
        if body.model is not None:
            await model_file(body.model)
        change = self._conversations.change
        return json_response(await asyncio.to_thread(change, session, name=body.name, model=body.model))

    async def delete(self, request: Request) -> Response:
        """Deletes a conversation; its turns and blocks go too, unless others use them as well.

        Of a private one nothing is left. Idempotent for private ones. Raises SessionUnknown for others.
        """
        session = request.path_params["id"]
        if is_private(session):
            await self._answers.forget_session(session)
            return Response(status_code=204)
        return json_response(await self._answers.delete_session(session))
