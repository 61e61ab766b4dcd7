"""The answers that are under way."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from erllama_daemon.http.answer import Answer, Question
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.models.supervisor import Supervisor


class Answers:
    """Starts answers, and ends them before their time. All calls from the event loop."""

    def __init__(self, supervisor: Supervisor, conversations: Conversations) -> None:
        self._supervisor = supervisor
        self._conversations = conversations
        self._running: dict[int, Answer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # A lock lives as long as an answer holds it.
        self._turn_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def start(self, question: Question) -> Answer:
        """Starts an answer. One question of a session is answered after the other."""
        turn_lock, sessions = asyncio.Lock(), self._conversations.kept
        if question.session is not None:
            turn_lock = self._turn_locks.setdefault(question.session, turn_lock)
            sessions = self._conversations.holding(question.session)
        answer = Answer(question, self._supervisor, sessions, turn_lock)
        self._running[answer.id] = answer
        task = asyncio.create_task(self._run(answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return answer

    def cancel(self, answer_id: int) -> None:
        """Ends an answer at its next tick. An unknown or finished one is fine."""
        if (answer := self._running.get(answer_id)) is not None:
            answer.cancel()

    def cancel_all(self) -> None:
        """Ends every answer at its next tick."""
        for answer in list(self._running.values()):
            answer.cancel()

    async def forget_session(self, session: str) -> None:
        """Ends the answers of a private session and lets go of it, here and in every worker."""
        for answer in list(self._running.values()):
            if answer.session == session:
                answer.cancel()
        async with self._turn_locks.setdefault(session, asyncio.Lock()):
            await asyncio.to_thread(self._conversations.private.delete, session)
            await self._supervisor.forget_scope(session)

    async def finish(self) -> None:
        """Waits until every answer that was cut off is kept."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, answer: Answer) -> None:
        try:
            await answer.run()
        finally:
            del self._running[answer.id]
