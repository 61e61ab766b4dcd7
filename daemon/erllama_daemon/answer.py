"""One answer on its way from a worker to a client, and into its session."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from erllama_cache.errors import ErllamaError
from erllama_daemon import frames
from erllama_daemon.errors import InternalError
from erllama_daemon.messages import (
    CompleteRequest,
    Done,
    Event,
    Failure,
    Loading,
    Message,
    Prefilling,
    Token,
)
from erllama_daemon.sessions import Sessions, Turn
from erllama_daemon.supervisor import Supervisor, WorkerProcess

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """A valid request: its model's file is known, and its session exists if it has one."""

    request: CompleteRequest
    model: str
    path: Path
    session: str | None


class Answer:
    """Runs in a task of its own: a client that hangs up cancels the request, but the turn is still saved."""

    def __init__(self, question: Question, supervisor: Supervisor, sessions: Sessions, turn_lock: asyncio.Lock) -> None:
        self._question = question
        self._supervisor = supervisor
        self._sessions = sessions
        self._turn_lock = turn_lock
        self._request_id = supervisor.next_id()
        self._worker: WorkerProcess | None = None
        self._hung_up = False
        self._messages = question.request.messages
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def run(self) -> None:
        """Gets the answer and keeps it. The last event is a `Done` or a `Failure`, whatever happens."""
        try:
            async with self._turn_lock:
                await self._run()
        except ErllamaError as error:
            self._events.put_nowait(Failure.of(error))
        except Exception as error:
            log.exception("an answer failed")
            self._events.put_nowait(Failure.of(InternalError(reason=repr(error))))

    async def events(self) -> AsyncGenerator[Event, None]:
        """What the client sees, to the last event. Closing it early hangs up."""
        try:
            while True:
                event = await self._events.get()
                yield event
                if isinstance(event, Done | Failure):
                    return
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        self._hung_up = True
        if self._worker is not None:
            self._worker.send(frames.Cancel(self._request_id))

    async def _run(self) -> None:
        question, request = self._question, self._question.request
        history = None
        if question.session is not None:
            history = await asyncio.to_thread(self._sessions.history, question.session)
            if history is None:
                self._messages = await self._with_lost_system_prompt(question.session)
            await asyncio.to_thread(self._sessions.ask, question.session, self._messages)
        asked = time.monotonic()
        if not self._supervisor.is_ready(question.path):
            self._events.put_nowait(Loading(question.model))
        self._worker = worker = await self._supervisor.worker(question.model, question.path)
        load_ms = round((time.monotonic() - asked) * 1000, 3)
        if self._hung_up:
            return
        answers = worker.ask(
            frames.Generate(
                id=self._request_id,
                messages=self._messages,
                history=history,
                max_tokens=request.max_tokens,
                sampling=request.sampling,
                logits_digest=request.logits_digest,
            )
        )
        try:
            await self._forward(worker, answers, load_ms)
        finally:
            worker.forget(self._request_id)

    async def _forward(self, worker: WorkerProcess, answers: asyncio.Queue[frames.FromWorker], load_ms: float) -> None:
        while True:
            frame = await answers.get()
            match frame:
                case frames.Prefilled():
                    self._events.put_nowait(Prefilling(frame.done, frame.total, frame.cached))
                case frames.Text():
                    self._events.put_nowait(Token(frame.text))
                case frames.Failed():
                    self._events.put_nowait(frame.failure)
                    return
                case frames.Finished():
                    await self._keep(worker, frame)
                    stats = msgspec.structs.replace(frame.stats, load_ms=load_ms, session=self._question.session)
                    self._events.put_nowait(Done(stats))
                    return

    async def _keep(self, worker: WorkerProcess, finished: frames.Finished) -> None:
        session = self._question.session
        if session is None or not finished.answered:
            return
        said = [*self._messages, Message("assistant", [finished.stats.text])]
        turn = Turn(said, finished.tokens, finished.finish_key, worker.ready.result().fingerprint)
        await asyncio.to_thread(self._sessions.add_turn, session, turn)

    async def _with_lost_system_prompt(self, session: str) -> list[Message]:
        """The new messages, after the system prompt that came with a first turn which was never answered."""
        lost = await asyncio.to_thread(self._sessions.unanswered, session)
        given = self._question.request.messages
        has_system = any(message.role == "system" for message in given)
        return [*([] if has_system else (message for message in lost if message.role == "system")), *given]
