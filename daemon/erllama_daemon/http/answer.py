"""One answer on its way from a worker to a client, and into its session."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from erllama_cache.errors import ErllamaError
from erllama_cache.keys import pack_tokens
from erllama_daemon import frames
from erllama_daemon.errors import InternalError
from erllama_daemon.messages import (
    Accepted,
    CompleteRequest,
    Done,
    Event,
    Failure,
    Loading,
    Message,
    Prefilling,
    Queued,
    Stats,
    Thinking,
    Token,
)
from erllama_daemon.models.keeper import Lease
from erllama_daemon.models.supervisor import Supervisor
from erllama_daemon.models.worker_process import WorkerProcess
from erllama_daemon.sessions.store import Sessions, Turn

log = logging.getLogger(__name__)

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Question:
    """A valid request: its model's file is known, and its session exists if it has one.

    `scope` is what private requests share their state under, and empty for others.
    """

    request: CompleteRequest
    model: str
    path: Path
    session: str | None
    scope: str


class Answer:
    """Runs in a task of its own: a client that hangs up cancels the request, but a turn that began is still saved.

    `id` is the number of the request, here and in the worker.
    """

    def __init__(self, question: Question, supervisor: Supervisor, sessions: Sessions, turn_lock: asyncio.Lock) -> None:
        self.id = supervisor.next_id()
        self._question = question
        self._supervisor = supervisor
        self._sessions = sessions
        self._turn_lock = turn_lock
        self._awaited: asyncio.Task[Any] | None = None
        self._worker: WorkerProcess | None = None
        self._is_cancelled = False
        self._load_ms = 0.0
        self._messages = question.request.messages
        self._after: int | None = None
        self._extended: frames.History | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._events.put_nowait(Accepted(self.id))

    @property
    def session(self) -> str | None:
        """The conversation that it is a turn of."""
        return self._question.session

    async def run(self) -> None:
        """Gets the answer and keeps it. The last event is a `Done` or a `Failure`, whatever happens."""
        try:
            if await self._unless_cancelled(self._turn_lock.acquire()) is None:
                self._end_unstarted()
                return
            try:
                await self._run()
            finally:
                self._turn_lock.release()
        except ErllamaError as error:
            self._events.put_nowait(Failure.of(error))
        except Exception as error:
            log.exception("an answer failed")
            self._events.put_nowait(Failure.of(InternalError(reason=repr(error))))

    async def events(self) -> AsyncGenerator[Event, None]:
        """What the client sees, to the last event. A client that hangs up must `cancel`."""
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, Done | Failure):
                return

    def cancel(self) -> None:
        """Ends the answer at the next tick, or at once if its turn or its model is not there yet. Idempotent."""
        self._is_cancelled = True
        if self._worker is not None:
            self._worker.send(frames.Cancel(self.id))
        elif self._awaited is not None:
            self._awaited.cancel()

    async def _run(self) -> None:
        if self._is_cancelled:
            self._end_unstarted()
            return
        self._extended = await self._ask_session()
        request = self._generate(self._extended)
        lost = await self._try(request)
        if lost is not None:  # with a worker that may never have seen it
            lost = await self._try(request)
        if lost is not None:
            self._events.put_nowait(lost)

    async def _try(self, request: frames.Generate) -> Failure | None:
        """Gets the answer from a worker; gives the failure of one that died before it said a word."""
        asked = time.monotonic()
        lease = await self._lease(request)
        self._load_ms = round(self._load_ms + (time.monotonic() - asked) * 1000, 3)
        if lease is None:
            self._end_unstarted()
            return None
        self._worker = worker = lease.worker
        try:
            return await self._forward(worker, worker.ask(request))
        finally:
            self._worker = None
            worker.forget(self.id)
            lease.release()

    def _end_unstarted(self) -> None:
        question = self._question
        seed = question.request.sampling.seed or 0
        stats = Stats.never_started(
            model=question.model,
            session=question.session,
            seed=seed,
            load_ms=self._load_ms,
            saved="off" if not question.request.cache else "private" if question.scope else "published",
        )
        self._events.put_nowait(Done(stats))

    async def _unless_cancelled(self, waiting: Coroutine[Any, Any, _Found]) -> _Found | None:
        """What is waited for; None if the answer is cancelled before it is there."""
        self._awaited = awaited = asyncio.create_task(waiting)
        if self._is_cancelled:
            awaited.cancel()
        try:
            return await awaited
        except asyncio.CancelledError:
            if not self._is_cancelled:
                raise
            return None
        finally:
            self._awaited = None

    async def _ask_session(self) -> frames.History | None:
        """Keeps the question of a turn before it is asked; gives what it extends."""
        session, request = self._question.session, self._question.request
        if session is None:
            return None if request.parent_key is None or request.tokens is not None else await self._parent()
        await asyncio.to_thread(self._sessions.check_seen, session, request.seen)
        self._after = request.after
        if self._after is None:
            self._after = (await asyncio.to_thread(self._sessions.get, session)).turn or 0
        history = await asyncio.to_thread(self._sessions.history, session, self._after)
        if history is None:
            self._messages = await asyncio.to_thread(self._sessions.with_lost_system_prompt, session, self._messages)
        await asyncio.to_thread(self._sessions.ask, session, self._messages)
        return history

    async def _parent(self) -> frames.History | None:
        """What the answer whose key the request names ended with, if that was a turn of a conversation."""
        key = bytes.fromhex(self._question.request.parent_key or "")
        return await asyncio.to_thread(self._sessions.history_of_key, key)

    def _generate(self, history: frames.History | None) -> frames.Generate:
        request = self._question.request
        return frames.Generate(
            id=self.id,
            messages=self._messages,
            history=history,
            tokens=None if request.tokens is None else pack_tokens(request.tokens),
            parent_key=None if request.parent_key is None else bytes.fromhex(request.parent_key),
            max_tokens=request.max_tokens,
            sampling=request.sampling,
            stop=request.stop,
            logprobs=request.logprobs,
            adapters=request.adapters,
            reproducible=request.reproducible,
            overflow=request.overflow,
            scope=self._question.scope,
            cache=request.cache,
            require_cached=request.require_cached,
            logits_digest=request.logits_digest,
        )

    async def _lease(self, request: frames.Generate) -> Lease | None:
        """The model's worker, loaded; None if the answer was cancelled meanwhile."""
        question = self._question

        def on_loading(progress: float) -> None:
            self._events.put_nowait(Loading(question.model, progress))

        lease = await self._unless_cancelled(
            self._supervisor.acquire(
                question.model, question.path, options=question.request.options, request=request, on_loading=on_loading
            )
        )
        if lease is not None and self._is_cancelled:
            lease.release()
            return None
        return lease

    async def _forward(self, worker: WorkerProcess, answers: asyncio.Queue[frames.FromWorker]) -> Failure | None:
        """Passes on what a worker says, to the end; gives the failure of one that died before it said a word."""
        while True:
            frame = await answers.get()
            match frame:
                case frames.Waiting():
                    self._events.put_nowait(Queued(frame.ahead))
                case frames.Prefilled():
                    self._events.put_nowait(Prefilling(frame.done, frame.total, frame.cached))
                case frames.Text():
                    self._events.put_nowait(Thinking(frame.text) if frame.thinking else Token(frame.text))
                case frames.Failed() if worker.is_lost(self.id):
                    return frame.failure
                case frames.Failed():
                    await self._forget()
                    self._events.put_nowait(frame.failure)
                    return None
                case frames.Finished():
                    turn = await self._keep(frame)
                    await self._forget()
                    stats = self._stats(frame.stats, turn)
                    self._events.put_nowait(Done(stats))
                    return None

    def _stats(self, stats: Stats, turn: int | None) -> Stats:
        """What a worker says of an answer, with what only the daemon knows of it."""
        parent = self._extended.finish_key if self._extended else None
        return msgspec.structs.replace(
            stats,
            load_ms=self._load_ms,
            session=self._question.session,
            turn=turn,
            parent_key=self._question.request.parent_key if parent is None else parent.hex(),
        )

    async def _keep(self, finished: frames.Finished) -> int | None:
        """Writes the turn into its session; gives its number there."""
        session, worker = self._question.session, self._worker
        if session is None or worker is None or not finished.answered:
            return None
        turn = Turn(
            after=self._after or None,
            messages=[*self._messages, Message("assistant", [finished.stats.text])],
            tokens=finished.tokens,
            finish_key=finished.finish_key,
            fingerprint=worker.ready.result().fingerprint,
            view=finished.view,
            thinking=finished.stats.thinking,
            finish_reason=finished.stats.finish_reason,
        )
        return await asyncio.to_thread(self._sessions.add_turn, session, turn)

    async def _forget(self) -> None:
        """Lets go of what a private answer leaves behind, unless its conversation goes on from there."""
        if self._question.scope and self._question.session is None:
            await self._supervisor.forget_scope(self._question.scope, self._worker)
