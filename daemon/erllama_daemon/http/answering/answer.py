"""One answer on its way from a worker to a client, and into its session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec

from erllama_cache.keys import TOKEN_BYTES
from erllama_daemon import frames
from erllama_daemon.errors import ContextExceeded
from erllama_daemon.failures import failure_of
from erllama_daemon.http.answering.answer_log import log_answered, log_asked, log_failed, log_finished
from erllama_daemon.http.answering.heard import Said, event_of
from erllama_daemon.http.answering.progress import AnswerProgress
from erllama_daemon.http.answering.question import Question
from erllama_daemon.http.answering.summary import Summary, pasts, summary_tokens
from erllama_daemon.http.answering.turn import OpenTurn
from erllama_daemon.http.answering.waiting_events import WaitingEvents
from erllama_daemon.messages import (
    Accepted,
    Done,
    Event,
    Failure,
    Loading,
    Message,
    RemoteError,
    Stats,
    Summarizing,
)
from erllama_daemon.models.keeper import Lease
from erllama_daemon.models.supervisor import Supervisor
from erllama_daemon.models.worker_process import Request, WorkerProcess
from erllama_daemon.sessions.store import Sessions

_Found = TypeVar("_Found")


class _Lost(Exception):
    """The worker died before it said a word about a request."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Answer:
    """Runs in a task of its own: a client that hangs up cancels the request, but a turn that began is still saved.

    `id` is the number of the request, here and in the worker.
    """

    def __init__(self, question: Question, supervisor: Supervisor, sessions: Sessions, turn_lock: asyncio.Lock) -> None:
        self.id = supervisor.next_id()
        self.progress = AnswerProgress(self.id, question)
        self._question = question
        self._supervisor = supervisor
        self._turn = OpenTurn(question, sessions)
        self._turn_lock = turn_lock
        self._awaited: asyncio.Task[Any] | None = None
        self._worker: WorkerProcess | None = None
        self._asked = self.id
        self._is_cancelled = False
        self._load_ms = 0.0
        self._started = time.monotonic()
        self._events = WaitingEvents()
        self._events.put(Accepted(self.id))

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
        except _Lost as lost:
            self._fail(lost.failure)
        except Exception as error:
            self._fail(failure_of(error))

    async def events(self) -> AsyncGenerator[Event, None]:
        """What the client sees, to the last event. A client that hangs up must `cancel`."""
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, Done | Failure):
                return

    def cancel(self) -> None:
        """Ends the answer at the next tick, or at once if its turn or its model is not there yet. Idempotent."""
        if self._is_cancelled:
            return
        self._is_cancelled = True
        if self._worker is not None:
            self._worker.send(frames.Cancel(self._asked))
        elif self._awaited is not None:
            self._awaited.cancel()

    async def _run(self) -> None:
        if self._is_cancelled:
            self._end_unstarted()
            return
        await self._turn.open()
        if self._logs_prompts:
            log_asked(self.id, self._question)
        try:
            await self._try()
        except _Lost:  # with a worker that may never have seen it
            await self._try()

    async def _try(self) -> None:
        """Gets the answer from a worker. Raises _Lost if that died before it said a word."""
        request = self._turn.generate(self.id)
        asked = time.monotonic()
        lease = await self._lease(request)
        self._load_ms = round(self._load_ms + (time.monotonic() - asked) * 1000, 3)
        if lease is None:
            self._end_unstarted()
            return
        self._worker = self.progress.worker = worker = lease.worker
        self.progress.state = "queued"
        try:
            ended = await self._ask(worker, request)
            if isinstance(ended, frames.Failed) and self._may_summarize(ended.failure):
                try:
                    ended = await self._ask_with_summary(worker)
                except RemoteError as error:
                    ended = frames.Failed(self.id, error.failure)
            await self._end(worker, ended)
        finally:
            self._worker = None
            lease.release()

    async def _end(self, worker: WorkerProcess, ended: frames.FromWorker | None) -> None:
        """Keeps what came of it, and sends the last event; None is an answer that was cancelled between two asks."""
        if isinstance(ended, frames.Finished):
            number = await self._turn.keep(ended, worker.ready.result().fingerprint)
            await self._forget(worker)
            stats = msgspec.structs.replace(ended.stats, load_ms=self._load_ms)
            self.progress.ended = stats
            log_finished(self.id, self._question, stats, self._ms)
            if self._logs_prompts:
                log_answered(self.id, self._question, stats)
            self._events.put(Done(self._turn.told(stats, number)))
            return
        await self._forget(worker)
        if isinstance(ended, frames.Failed):
            self._fail(ended.failure)
        else:
            self._end_unstarted()

    def _fail(self, failure: Failure) -> None:
        self.progress.ended = failure
        log_failed(self.id, self._question, failure, self._ms)
        self._events.put(failure)

    @property
    def _logs_prompts(self) -> bool:
        return self._supervisor.config.daemon.log_prompts

    @property
    def _ms(self) -> float:
        return (time.monotonic() - self._started) * 1000

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
        self.progress.ended = stats
        log_finished(self.id, self._question, stats, self._ms)
        self._events.put(Done(stats))

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

    async def _lease(self, request: frames.Generate) -> Lease | None:
        """The model's worker, loaded; None if the answer was cancelled meanwhile."""
        question = self._question

        def on_loading(progress: float) -> None:
            self.progress.state = "loading"
            self._events.put(Loading(question.model, progress))

        lease = await self._unless_cancelled(
            self._supervisor.acquire(
                question.model, question.path, options=question.request.options, request=request, on_loading=on_loading
            )
        )
        if lease is not None and self._is_cancelled:
            lease.release()
            return None
        return lease

    async def _ask(self, worker: WorkerProcess, request: Request, *, is_heard: bool = True) -> frames.FromWorker | None:
        """The last thing that a worker says to a request, all before it passed on if the client is to hear of it.

        None if the answer was cancelled before. Raises _Lost if the worker dies before it says a word.
        """
        if self._is_cancelled:
            return None
        self._asked = request.id
        answers = worker.ask(request)
        try:
            while True:
                frame = await answers.get()
                if isinstance(frame, frames.Failed) and worker.is_lost(request.id):
                    raise _Lost(frame.failure)
                if not isinstance(frame, Said):
                    return frame
                if is_heard:
                    self.progress.note(frame)
                    self._events.put(event_of(frame))
        finally:
            worker.forget(request.id)

    def _may_summarize(self, failure: Failure) -> bool:
        return failure.code == ContextExceeded.code and self._question.request.overflow == "summarize"

    async def _ask_with_summary(self, worker: WorkerProcess) -> frames.FromWorker | None:
        """Asks again, with a summary in the place of the oldest turns if one will do."""
        context_size = worker.ready.result().context_size
        found = pasts(
            self._turn.way,
            self._turn.messages,
            max_tokens=self._question.request.max_tokens,
            context_size=context_size,
            count=lambda messages: self._count(worker, messages, []),
            count_view=lambda messages: self._count(worker, messages, self._question.tools),
        )
        async with aclosing(found) as open_pasts:
            async for past in open_pasts:
                self._events.put(Summarizing(past.count))
                request = self._question.summarize(
                    self._supervisor.next_id(), past.question, past.history, summary_tokens(context_size)
                )
                made = await self._ask(worker, request, is_heard=False)
                if isinstance(made, frames.Failed) and made.failure.code == ContextExceeded.code:
                    continue
                if not isinstance(made, frames.Finished):
                    return made
                if made.stats.cancelled:
                    return None
                # A thinking model may not have come to its answer.
                text = made.stats.text.strip() or (made.stats.thinking or "").strip()
                if text:
                    self._turn.summarize(Summary(past, text))
                    break
        return await self._ask(worker, self._turn.generate(self.id, may_summarize=False))

    async def _count(self, worker: WorkerProcess, messages: list[Message], tools: list[dict[str, Any]]) -> int:
        """How many tokens a prompt has. Raises what the worker answers instead."""
        call = frames.Render(self._supervisor.next_id(), messages, tools)
        rendered = await self._ask(worker, call, is_heard=False)
        if isinstance(rendered, frames.Failed):
            raise RemoteError(rendered.failure)
        return len(rendered.tokens) // TOKEN_BYTES if isinstance(rendered, frames.Rendered) else 0

    async def _forget(self, worker: WorkerProcess) -> None:
        """Lets go of what a private answer leaves behind, unless its conversation goes on from there."""
        if self._question.scope and self._question.session is None:
            await self._supervisor.forget_scope(self._question.scope, worker)
