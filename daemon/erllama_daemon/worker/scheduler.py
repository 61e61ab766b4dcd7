"""The scheduler: one thread that admits requests in order and gives the engine one tick at a time."""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from erllama_cache.block import SaveReason
from erllama_daemon.engine.engine import Engine
from erllama_daemon.engine.generation import Generation, GenerationState
from erllama_daemon.errors import Busy
from erllama_daemon.failures import failure_of
from erllama_daemon.frames import Failed, FromWorker, Generate, Prefilled, Waiting
from erllama_daemon.messages import Failure
from erllama_daemon.worker.line import Line
from erllama_daemon.worker.preparation import Preparation
from erllama_daemon.worker.reply import Reply, finished_frame, send_when_saved


class Scheduler:
    """Up to `parallel` requests are served together; the others wait in a `Line` of at most `queue_limit`, the
    second half of which is for clients who have nothing in it yet.

    A tick is one block of one prompt, or one decode step: of the request that is alone in the solo buffer, or of all in
    company that use the same adapters. The two kinds alternate, so that a long prompt never stalls the others; short
    prompts are read in one turn as long as they add up to no more than a block. Before its turn comes, a request is
    prepared on a thread of its own.

    `submit`, `cancel`, `call`, `stop` and the properties may be called from any thread; `run` owns the engine. Frames
    leave through `send`, which must be safe to call from the cache's writer thread too.
    """

    def __init__(
        self,
        engine: Engine,
        preparation: Preparation,
        model: str,
        send: Callable[[FromWorker], None],
        *,
        parallel: int = 1,
        queue_limit: int = 256,
    ) -> None:
        self._engine = engine
        self._preparation = preparation
        self._model = model
        self._send = send
        self._parallel = parallel
        self._queue_limit = queue_limit
        self._wake = threading.Condition()
        self._preparing: deque[Generation] = deque()
        self._waiting = Line()
        self._running: list[Generation] = []
        self._told_to_wait: set[int] = set()
        self._replies: dict[Generation, Reply] = {}
        self._cancelled: set[int] = set()
        self._calls: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._solo_turn = True
        self._read_tokens = 0
        self._desk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="preparation")

    @property
    def queue_depth(self) -> int:
        """How many requests wait to be admitted."""
        return len(self._preparing) + len(self._waiting)

    @property
    def preparing(self) -> int:
        """How many of those that wait are still being prepared."""
        return len(self._preparing)

    @property
    def running(self) -> int:
        """How many requests have been admitted and are not finished."""
        return len(self._running)

    @property
    def requests(self) -> tuple[Generation, ...]:
        """Those that have been admitted, and then those that wait."""
        with self._wake:
            return (*self._running, *self._waiting, *self._preparing)

    @property
    def is_idle(self) -> bool:
        """Whether no request is running and none is about to."""
        return not (self._running or self._waiting)

    @property
    def is_stopping(self) -> bool:
        """Whether it serves only what it has begun."""
        return self._stopping

    @property
    def status(self) -> Literal["idle", "prefilling", "generating"]:
        """What the worker does: it is prefilling as long as any prompt is being read."""
        states = {generation.state for generation in tuple(self._running)}
        if not states:
            return "idle"
        return "generating" if states <= {GenerationState.GENERATING, GenerationState.DONE} else "prefilling"

    def submit(self, request: Generate) -> None:
        """Queues a request; its arrival time is now. Answers `Busy` if the queue is full."""
        generation = Generation(request, context_size=self._preparation.context_size)
        with self._wake:
            limit = self._queue_limit // 2 if self._waiting.held(request) else self._queue_limit
            if (ahead := self.queue_depth) >= limit:
                self._send(Failed(request.id, Failure.of(Busy(model=self._model, waiting=ahead))))
                return
            self._waiting.arrive(request)
            self._preparing.append(generation)
        self._desk.submit(self._prepare, generation)

    def cancel(self, request_id: int) -> None:
        """Ends a request at the next tick, wherever it is. Idempotent; an unknown id does nothing."""
        with self._wake:
            if any(generation.id == request_id for generation in self.requests):
                self._cancelled.add(request_id)

    def call(self, function: Callable[[], None]) -> None:
        """Runs a function on the engine's thread, between two ticks. It must not raise."""
        with self._wake:
            self._calls.append(function)
            self._wake.notify()

    def stop(self) -> None:
        """Cancels every request; `run` returns when the last one is finished and handed to the writer."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def evict(self) -> tuple[int, int]:
        """Saves what is live and lets finished sequences go; how many those were, and how many blocks were saved.

        Engine's thread only. A running request goes on as it was, unless its state cannot be read.
        """
        before = self._engine.saved_blocks
        for generation in list(self._running):
            self._guard([generation], functools.partial(self._engine.save_copy, generation))
        return self._engine.evict_finished(), self._engine.saved_blocks - before

    def run(self) -> None:
        """Serves until `stop`."""
        while self._wait():
            for _ in range(len(self._calls)):  # a call may add another one, which has to wait for a tick
                self._calls.popleft()()
            self._end_cancelled()
            self._admit()
            self._tick()
        self._desk.shutdown()

    def _prepare(self, generation: Generation) -> None:
        """On the preparation's thread: the requests come to the queue in the order in which they arrived."""
        failure = None
        if not self._is_cancelled(generation):
            try:
                self._preparation.prepare(generation)
            except Exception as error:
                failure = failure_of(error)
        with self._wake:
            self._preparing.remove(generation)
            if failure is None:
                self._waiting.add(generation)
            else:
                self._waiting.leave(generation)
            self._wake.notify()
        if failure is not None:
            self._remove(generation)
            self._send(Failed(generation.id, failure))

    def _wait(self) -> bool:
        """Waits for something to do; False when all is done and it is time to stop."""

        def has_work() -> bool:
            return bool(self._running or self._waiting or self._calls)

        with self._wake:
            self._wake.wait_for(lambda: has_work() or (self._stopping and not self._preparing))
            return has_work()

    def _end_cancelled(self) -> None:
        with self._wake:
            ended = [waiting for waiting in self._waiting if self._is_cancelled(waiting)]
            for generation in ended:
                self._waiting.remove(generation)
        ended += [generation for generation in self._running if self._is_cancelled(generation)]
        for generation in ended:
            self._guard([generation], functools.partial(self._cancel, generation))

    def _cancel(self, generation: Generation) -> None:
        generation.finish_reason = "cancelled"
        self._reply(generation).add(generation.answer.add(b"", last=True))
        self._finish(generation)

    def _admit(self) -> None:
        """Lets the next request in if there is room; one at a time, for it needs the solo buffer."""
        if not self._waiting:
            return
        if len(self._running) >= self._parallel or not self._engine.make_way():
            self._tell_who_waits()
            return
        with self._wake:
            generation = self._waiting.next()
            self._running.append(generation)
        self._send_progress(generation)
        if self._guard([generation], functools.partial(self._engine.admit, generation)) and not generation.ends:
            self._send_progress(generation)  # for all of the prompt was there already, and nothing of it is read

    def _tell_who_waits(self) -> None:
        for ahead, generation in enumerate(self._waiting):
            if generation.id not in self._told_to_wait:
                self._told_to_wait.add(generation.id)
                self._send(Waiting(generation.id, ahead))

    def _tick(self) -> None:
        """One step in the solo buffer or in company, whichever has not had the last one."""
        occupant = self._engine.occupant
        company = [generation for generation in self._running if generation is not occupant]
        if company and occupant is not None and self._engine.make_way():  # one batch costs less than two
            company, occupant = [*company, occupant], None
        if occupant is not None and (self._solo_turn or not company or self._may_read_on(occupant)):
            self._solo_turn = False
            if occupant.state is GenerationState.PREFILLING:
                self._guard([occupant], functools.partial(self._prefill, occupant))
            else:
                self._step([occupant])
        elif company:
            self._solo_turn, self._read_tokens = True, 0
            longest_waiting = min(company, key=lambda generation: generation.clock.stepped)
            self._step([each for each in company if _same_adapters(each, longest_waiting)])

    def _prefill(self, generation: Generation) -> None:
        self._send_progress(generation)
        before = generation.computed
        self._engine.prefill(generation)
        self._read_tokens += generation.computed - before
        if generation.finish_reason is not None:
            self._finish(generation)

    def _may_read_on(self, occupant: Generation) -> bool:
        """Whether a short prompt can be read as well before the company's next step: together they are one block."""
        if occupant.state is not GenerationState.PREFILLING:
            return False
        following = occupant.ends[0] - occupant.computed if occupant.ends else 0
        return self._read_tokens + following <= self._engine.block_tokens

    def _send_progress(self, generation: Generation) -> None:
        done, total, cached = generation.computed, generation.prompt_tokens, generation.cached
        self._send(Prefilled(id=generation.id, done=done, total=total, cached=cached))

    def _step(self, group: Sequence[Generation]) -> None:
        if not self._guard(group, functools.partial(self._engine.decode, group)):
            return
        for generation in group:
            generation.clock.stepped = time.monotonic()
            self._guard([generation], functools.partial(self._speak, generation))

    def _speak(self, generation: Generation) -> None:
        self._reply(generation).add(self._engine.sample(generation), answers=len(self._running))
        if generation.finish_reason is not None:
            self._finish(generation)

    def _finish(self, generation: Generation) -> None:
        self._flush(generation)
        answered = generation.completion_tokens > 0
        self._engine.finish(generation, SaveReason.SHUTDOWN if self._stopping else SaveReason.FINISH)
        self._remove(generation)
        send_when_saved(generation, lambda: self._send(finished_frame(generation, self._model, answered=answered)))

    def _guard(self, generations: Sequence[Generation], step: Callable[[], None]) -> bool:
        """Runs a step; what it raises ends the requests it was for, by name, and no other. False if it raised."""
        try:
            step()
        except Exception as error:
            failure = failure_of(error)
            for generation in generations:
                self._flush(generation)
                self._engine.abandon(generation)
                self._remove(generation)
                self._send(Failed(generation.id, failure))
            return False
        return True

    def _reply(self, generation: Generation) -> Reply:
        return self._replies.setdefault(generation, Reply(generation, self._send))

    def _flush(self, generation: Generation) -> None:
        reply = self._replies.pop(generation, None)
        if reply is not None:
            reply.flush()

    def _remove(self, generation: Generation) -> None:
        with self._wake:
            if generation in self._running:
                self._running.remove(generation)
            self._cancelled.discard(generation.id)
            self._told_to_wait.discard(generation.id)

    def _is_cancelled(self, generation: Generation) -> bool:
        return self._stopping or generation.id in self._cancelled


def _same_adapters(one: Generation, other: Generation) -> bool:
    return (one.adapters and one.adapters.handles) == (other.adapters and other.adapters.handles)
