"""The scheduler: one thread that admits requests in order and gives the engine one tick at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Literal

from erllama_cache.errors import ErllamaError
from erllama_cache.keys import pack_tokens
from erllama_cache.writer import SaveOutcome
from erllama_daemon.engine import Engine
from erllama_daemon.errors import InternalError
from erllama_daemon.frames import Failed, Finished, FromWorker, Generate, Prefilled, Text
from erllama_daemon.generation import Generation, GenerationState
from erllama_daemon.messages import Failure

log = logging.getLogger(__name__)

TEXT_INTERVAL_S = 0.015
"""Text that becomes ready within this time travels together: each wake-up elsewhere stalls llama.cpp's threads."""


class Scheduler:
    """Requests wait in a FIFO queue; the one in front is active, and a tick is one block of prefill or one token.

    `submit`, `cancel`, `stop` and the properties may be called from any thread; `run` owns the engine. Frames leave
    through `send`, which must be safe to call from the cache's writer thread too.
    """

    def __init__(self, engine: Engine, model: str, send: Callable[[FromWorker], None]) -> None:
        self._engine = engine
        self._model = model
        self._send = send
        self._wake = threading.Condition()
        self._waiting: deque[Generation] = deque()
        self._active: Generation | None = None
        self._cancelled: set[int] = set()
        self._stopping = False
        self._unsent: list[str] = []
        self._sent_at = 0.0

    @property
    def queue_depth(self) -> int:
        """How many requests wait behind the active one."""
        return len(self._waiting)

    @property
    def status(self) -> Literal["idle", "prefilling", "generating"]:
        """What the active request is doing."""
        active = self._active
        if active is None:
            return "idle"
        return "generating" if active.state is GenerationState.GENERATING else "prefilling"

    def submit(self, request: Generate) -> None:
        """Queues a request; its arrival time is now."""
        generation = Generation(request)
        with self._wake:
            self._waiting.append(generation)
            self._wake.notify()

    def cancel(self, request_id: int) -> None:
        """Ends a request at the next tick, wherever it is. Idempotent; an unknown id does nothing."""
        with self._wake:
            known = [self._active, *self._waiting]
            if any(generation is not None and generation.id == request_id for generation in known):
                self._cancelled.add(request_id)

    def stop(self) -> None:
        """Cancels every request; `run` returns when the last one is finished and handed to the writer."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def run(self) -> None:
        """Serves until `stop`."""
        while (generation := self._next()) is not None:
            try:
                self._serve(generation)
            except ErllamaError as error:
                self._engine.release(generation)
                self._flush(generation)
                self._send(Failed(generation.id, Failure.of(error)))
            except Exception as error:
                # A defect ends this request, not the ones that wait.
                log.exception("request %d failed", generation.id)
                self._engine.release(generation)
                self._engine.forget_live()
                self._flush(generation)
                self._send(Failed(generation.id, Failure.of(InternalError(reason=repr(error)))))
            finally:
                with self._wake:
                    self._active = None
                    self._cancelled.discard(generation.id)

    def _next(self) -> Generation | None:
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._stopping)
            if not self._waiting:
                return None
            self._active = self._waiting.popleft()
            return self._active

    def _serve(self, generation: Generation) -> None:
        self._unsent.clear()
        if not self._is_cancelled(generation):
            self._engine.admit(generation)
        while generation.finish_reason is None:
            if self._is_cancelled(generation):
                generation.finish_reason = "cancelled"
            else:
                self._tick(generation)
        self._flush(generation)
        answered = generation.state is GenerationState.GENERATING
        self._engine.finish(generation)
        self._send_when_saved(generation, answered=answered)

    def _tick(self, generation: Generation) -> None:
        if generation.state is GenerationState.PREFILLING:
            self._send(self._progress(generation))
            self._engine.prefill(generation)
            return
        is_first = generation.clock.first_token is None
        text = self._engine.step(generation)
        if text:
            self._unsent.append(text)
        if is_first or time.monotonic() - self._sent_at >= TEXT_INTERVAL_S:
            self._flush(generation)

    def _flush(self, generation: Generation) -> None:
        if self._unsent:
            self._send(Text(generation.id, "".join(self._unsent)))
            self._unsent.clear()
        self._sent_at = time.monotonic()

    def _progress(self, generation: Generation) -> Prefilled:
        return Prefilled(
            id=generation.id,
            done=generation.computed,
            total=generation.prompt_tokens,
            cached=generation.cached,
        )

    def _is_cancelled(self, generation: Generation) -> bool:
        return self._stopping or generation.id in self._cancelled

    def _send_when_saved(self, generation: Generation, *, answered: bool) -> None:
        def send() -> None:
            self._send(
                Finished(
                    id=generation.id,
                    stats=generation.stats(self._model),
                    tokens=pack_tokens(generation.tokens),
                    finish_key=generation.tail_key,
                    answered=answered,
                )
            )

        # Saves end in any order: one that is dropped is done at once.
        left = len(generation.saves)
        counting = threading.Lock()

        def count_down(_save: Future[SaveOutcome]) -> None:
            nonlocal left
            with counting:
                left -= 1
                is_last = left == 0
            if is_last:
                send()

        for save in list(generation.saves):
            save.add_done_callback(count_down)
        if not generation.saves:
            send()
