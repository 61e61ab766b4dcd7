"""A worker on the fake backend without its process: requests and calls go in, frames come out."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fake_backend import FakeBackend
from fake_engine import BLOCK_TOKENS, FINGERPRINT, new_engine, new_parents, new_preparation, new_shelf

from erllama_cache.policy import Policy
from erllama_cache.store import Store
from erllama_daemon import frames
from erllama_daemon.engine.explanation import Explainer
from erllama_daemon.frames import CallAnswer, Failed, Finished, FromWorker, Generate
from erllama_daemon.messages import Explanation, Message, Recomputed, Sampling
from erllama_daemon.worker.calls import Calls
from erllama_daemon.worker.desk import Desk
from erllama_daemon.worker.embedder import Embedder
from erllama_daemon.worker.recomputer import Recomputer
from erllama_daemon.worker.scheduler import Scheduler


class WorkerParts:
    """One worker with its cache in `cache`. `facts` replace those of the backend."""

    def __init__(self, cache: Path, *, policy: Policy | None = None, parallel: int = 1, **facts: Any) -> None:
        self.store = Store(cache, ram_bytes=1 << 20, disk_bytes=1 << 24)
        self.store.open()
        self.backend = FakeBackend()
        self.backend._facts = replace(self.backend.facts, **facts)
        self.shelf = new_shelf(self.backend, self.store)
        policy = policy or Policy()
        engine = new_engine(self.backend, self.store, shelf=self.shelf, policy=policy, parallel=parallel)
        preparation = new_preparation(self.backend, self.store, engine)
        self.scheduler = Scheduler(engine, preparation, "fake", self._send, parallel=parallel, queue_limit=8)
        self.calls = Calls(
            Desk(self.backend, BLOCK_TOKENS, FINGERPRINT, new_parents(self.backend, self.store, engine)),
            Embedder(self.backend, "fake", self.scheduler, self._send),
            Explainer(self.store, self.backend.vocabulary, "fake", BLOCK_TOKENS, policy),
            Recomputer(engine, self.scheduler, self.store, "fake", self._send),
            engine,
            self.scheduler,
            self.shelf,
            self.store,
            self._send,
            flush_s=10.0,
        )
        self.frames: dict[int, queue.Queue[FromWorker]] = {}
        self._last_id = 0
        self._thread = threading.Thread(target=self.scheduler.run)
        self._thread.start()

    def _send(self, frame: FromWorker) -> None:
        self.frames[frame.id].put(frame)  # type: ignore[union-attr]

    def next_id(self) -> int:
        self._last_id += 1
        self.frames[self._last_id] = queue.Queue()
        return self._last_id

    def ask(self, *parts: str, answer: str | None = None, **options: Any) -> int:
        """Asks, and does not wait."""
        if answer is not None:
            self.backend.answer_with(answer)
        number = self.next_id()
        given: dict[str, Any] = {"max_tokens": 20, "messages": [Message("user", list(parts))], **options}
        self.scheduler.submit(Generate(id=number, sampling=Sampling(temperature=0.0), logits_digest=True, **given))
        return number

    def hold_after(self, decodes: int) -> None:
        """The engine stops after so many more decodes, until `go_on`."""
        self.backend.resumed.clear()
        self.backend.pause_after_decodes = len(self.backend.decodes) + decodes

    def wait_until_held(self) -> None:
        """Returns when the engine has stopped there."""
        while len(self.backend.decodes) < (self.backend.pause_after_decodes or 0):
            time.sleep(0.0005)

    def wait_until_prepared(self) -> None:
        """Returns when every request is in the queue or beyond."""
        while self.scheduler.preparing:
            time.sleep(0.0005)

    def hold_again_after_next_calls(self) -> None:
        """Once a call waits for the engine, which is held, it makes one step, serves the call, and is held again."""
        while not self.scheduler._calls:
            time.sleep(0.0005)
        self.scheduler.call(self.backend.resumed.clear)
        self.backend.resumed.set()

    def go_on(self) -> None:
        self.backend.pause_after_decodes = None
        self.backend.resumed.set()

    def finished(self, number: int) -> Finished:
        frame = self.last_frame(number)
        assert isinstance(frame, Finished), frame
        return frame

    def run(self, *parts: str, answer: str | None = None, **options: Any) -> Finished:
        """The answer, saved."""
        finished = self.finished(self.ask(*parts, answer=answer, **options))
        self.store.flush()
        return finished

    def last_frame(self, number: int) -> FromWorker:
        """The frame that ends a request or a call."""
        while True:
            frame = self.frames[number].get(timeout=20)
            if isinstance(frame, Finished | Failed) or (
                isinstance(frame, CallAnswer) and not isinstance(frame, frames.Rechecked)
            ):
                return frame

    def explain(self, *parts: str, **options: Any) -> Explanation:
        """What a request with one user message, or with what the options say, would find."""
        number = self.next_id()
        messages = [Message("user", list(parts))] if parts else []
        self.calls.handle(frames.Explain(number, **{"messages": messages, **options}))
        frame = self.last_frame(number)
        assert isinstance(frame, frames.Explained), frame
        return frame.explanation

    def recompute(self, count: int = 1000, seed: int = 0) -> Recomputed:
        """What computing stored blocks again finds."""
        number = self.next_id()
        self.calls.handle(frames.Recompute(number, count, seed))
        frame = self.last_frame(number)
        assert isinstance(frame, frames.RecomputeEnded), frame
        return frame.result

    def stop(self) -> None:
        self.backend.resumed.set()
        self.scheduler.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.calls.close()
        self.store.close()


Start = Callable[..., WorkerParts]
"""Starts a worker on a test's cache."""
