"""What an answer has to do with conversations: the turns that it follows, and the turn that it becomes."""

from __future__ import annotations

import asyncio

import msgspec

from erllama_daemon import frames
from erllama_daemon.http.answering.question import Question
from erllama_daemon.http.answering.summary import Summary
from erllama_daemon.messages import Message, Stats
from erllama_daemon.sessions.store import Sessions
from erllama_daemon.sessions.tree import TurnRow, history_of
from erllama_daemon.sessions.turn import Turn


class OpenTurn:
    """A turn that has no answer yet. Whoever holds the conversation's turn lock may open and keep it.

    An answer of no conversation has one too, of which nothing is kept; it may follow turns of one all the same.
    `messages` are the new ones, and `way` leads from the beginning of the conversation to the turn before.
    """

    def __init__(self, question: Question, sessions: Sessions) -> None:
        self._question = question
        self._sessions = sessions
        self._summary: Summary | None = None
        self.messages = question.request.messages
        self.way: list[TurnRow] = []

    @property
    def history(self) -> frames.History | None:
        """What the turn extends."""
        return history_of(self.way)

    async def open(self) -> None:
        """Finds what the turn follows, and keeps its question before it is asked.

        Raises SessionUnknown, SessionMoved, TurnUnknown and SessionsUnusable.
        """
        question = self._question
        if question.session is not None:
            await asyncio.to_thread(self._follow, question.session)
        elif question.parent_key is not None and question.request.tokens is None:
            self.way = await asyncio.to_thread(self._sessions.way_of_key, question.parent_key)

    def summarize(self, summary: Summary) -> None:
        """Has a summary stand for the oldest turns."""
        self._summary = summary

    def generate(self, number: int, *, may_summarize: bool = True) -> frames.Generate:
        """Asks a worker for the answer; unless it may be summarized, as much as fits is enough."""
        history = self.history
        # A history says more than the key that it was found by.
        key = self._question.parent_key if history is None else None
        asked = self._question.generate(number, self.messages, history, key)
        if self._summary is not None:
            asked = msgspec.structs.replace(asked, messages=self._summary.view(self.messages), history=None)
        return asked if may_summarize else msgspec.structs.replace(asked, overflow="stop")

    async def keep(self, finished: frames.Finished, fingerprint: str) -> int | None:
        """Writes the turn into its conversation, if it has one and was answered; gives its number there."""
        session = self._question.session
        if session is None or not finished.answered:
            return None
        shown = None if self._summary is None else self._summary.view(self.messages)
        turn = Turn(
            after=self.way[-1].id if self.way else None,
            messages=[*self.messages, Message("assistant", [finished.stats.text], finished.stats.tool_calls)],
            tokens=finished.tokens,
            finish_key=finished.finish_key,
            fingerprint=fingerprint,
            view=shown if finished.view is None else finished.view,
            thinking=finished.stats.thinking,
            finish_reason=finished.stats.finish_reason,
        )
        return await asyncio.to_thread(self._sessions.add_turn, session, turn)

    def told(self, stats: Stats, number: int | None) -> Stats:
        """The stats of its answer, with what they say of the conversation; `number` is what `keep` gave."""
        stats = msgspec.structs.replace(
            stats,
            session=self._question.session,
            turn=number,
            parent_key=self.way[-1].finish_key.hex() if self.way else self._question.request.parent_key,
        )
        if (summary := self._summary) is None:
            return stats
        return msgspec.structs.replace(
            stats,
            summary=summary.text,
            dropped_messages=summary.past.count,
            cache_note=stats.cache_note or "a summary took the place of the oldest messages",
        )

    def _follow(self, session: str) -> None:
        sessions, request = self._sessions, self._question.request
        sessions.check_seen(session, request.seen)
        self.way = sessions.way(session, request.after)
        self.messages = sessions.with_lost_system_prompt(session, self.messages, request.after)
        sessions.ask(session, self.messages, request.after)
