"""From a request to the answer that is under way."""

from __future__ import annotations

import asyncio
import secrets

from erllama_daemon.errors import RequestInvalid
from erllama_daemon.http.answering.answer import Answer
from erllama_daemon.http.answering.answers import Answers
from erllama_daemon.http.answering.question import Question
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.http.door import ENTERED
from erllama_daemon.http.model_file import check_adapter_files, model_file
from erllama_daemon.messages import CompleteRequest
from erllama_daemon.messages.checks import INT_LIMIT, check_complete

TO_THE_END = INT_LIMIT - 1
"""As many tokens as an answer can have: it goes on until the model ends it or the context is full."""


class Asking:
    """What every API asks with. All calls from the event loop."""

    def __init__(self, answers: Answers, conversations: Conversations) -> None:
        self._answers = answers
        self._conversations = conversations

    async def start(self, request: CompleteRequest) -> Answer:
        """Starts the answer; who has its events must cancel it when nobody listens any more.

        Raises what `check_complete` raises, OwnerOnly, SessionUnknown, FileOutside, and ModelUnknown and its like.
        """
        return self._answers.start(await self._question(request))

    async def _question(self, request: CompleteRequest) -> Question:
        check_complete(request)
        _check_owners(request)
        client = ENTERED.get().client
        await check_adapter_files(request.adapters)
        if request.session is not None:
            session = await asyncio.to_thread(self._conversations.find, request.session)
            if request.private and not session.private:
                raise RequestInvalid(reason="a session that is kept has no private turns")
            scope = session.id if session.private else ""
            return Question(request, session.model, await model_file(session.model), session.id, scope, client)
        if request.model is None:
            raise RequestInvalid(reason="it names neither a model nor a session")
        scope = secrets.token_hex(16) if request.private else ""
        return Question(request, request.model, await model_file(request.model), None, scope, client)


def _check_owners(request: CompleteRequest) -> None:
    """Raises OwnerOnly for what an API for clients has fields for, too, and which is the owner's alone."""
    if request.session is not None:
        ENTERED.get().check_owner("A conversation")
    if request.options.fingerprint_mode is not None:  # another model's would have its state mixed up with this one's
        ENTERED.get().check_owner("The option fingerprint_mode")
