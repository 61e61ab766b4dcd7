"""The answers that are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from weakref import WeakValueDictionary

from erllama_daemon.http.answering.answer import Answer
from erllama_daemon.http.answering.progress import AnswerProgress
from erllama_daemon.http.answering.question import Question
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.messages import DeletedSession
from erllama_daemon.models.supervisor import Supervisor
from erllama_daemon.sessions.removal import delete_with_blocks


class Answers:
    """Starts answers, and ends them before their time. All calls from the event loop.

    `on_end` hears of each that has ended, however that came.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        conversations: Conversations,
        cache: Path,
        on_end: Callable[[AnswerProgress], None] = lambda _: None,
    ) -> None:
        self._on_end = on_end
        self._supervisor = supervisor
        self._conversations = conversations
        self._cache = cache
        self._running: dict[int, Answer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # A lock lives as long as an answer holds it.
        self._turn_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def count(self) -> int:
        """How many are under way, or not kept yet."""
        return len(self._tasks)

    @property
    def under_way(self) -> list[AnswerProgress]:
        """How far each is, the oldest first."""
        return [answer.progress for answer in self._running.values()]

    def start(self, question: Question) -> Answer:
        """Starts an answer. One question of a session is answered after the other."""
        turn_lock, sessions = asyncio.Lock(), self._conversations.kept
        if question.session is not None:
            turn_lock = self.turn_lock(question.session)
            sessions = self._conversations.holding(question.session)
        answer = Answer(question, self._supervisor, sessions, turn_lock)
        self._running[answer.id] = answer
        task = asyncio.create_task(self._run(answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return answer

    def turn_lock(self, session: str) -> asyncio.Lock:
        """Held by whoever changes where a conversation goes on: its answers, one after the other, among them."""
        return self._turn_locks.setdefault(session, asyncio.Lock())

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
        self._cancel_those_of(session)
        async with self.turn_lock(session):
            await asyncio.to_thread(self._conversations.private.delete, session)
            await self._supervisor.forget_scope(session)

    async def delete_session(self, session: str) -> DeletedSession:
        """Ends the answers of a kept session and deletes it, with the blocks that only it needs, on disk and in memory.

        Raises SessionUnknown, and what changing the cache raises.
        """
        self._cancel_those_of(session)
        async with self.turn_lock(session):
            return await self._delete(session)

    async def delete_unused(self, session: str, moment: float) -> DeletedSession | None:
        """Deletes a kept session as `delete_session` does, unless it was used since a moment, in Unix seconds.

        An answer of it that is under way is waited for, and is a use.
        """
        async with self.turn_lock(session):
            if session not in await asyncio.to_thread(self._conversations.kept.unused_since, moment):
                return None
            return await self._delete(session)

    async def finish(self) -> None:
        """Waits until every answer that was cut off is kept."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _cancel_those_of(self, session: str) -> None:
        for answer in list(self._running.values()):
            if answer.session == session:
                answer.cancel()

    async def _delete(self, session: str) -> DeletedSession:
        removal = await asyncio.to_thread(delete_with_blocks, self._conversations.kept, session, self._cache)
        if removal.keys:
            await self._supervisor.forget(removal.keys)
        return removal.deleted

    async def _run(self, answer: Answer) -> None:
        try:
            await answer.run()
        finally:
            del self._running[answer.id]
            self._on_end(answer.progress)
