"""A worker process spoken to directly, frame by frame, as the daemon does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from erllama_daemon import frames
from erllama_daemon.frames import Failed, Finished, History, LoadProgress, Ready
from erllama_daemon.messages import Message, Sampling


class WorkerProcess:
    """One worker with its cache in `cache`; killed at the end of the `with` block unless it was stopped."""

    def __init__(self, model: Path, cache: Path, *, ram_bytes: int = 1 << 28, **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "erllama_daemon.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._next_id = 0
        self.send(frames.Configure(model=model.name, path=str(model), cache=str(cache), ram_bytes=ram_bytes, **options))
        while isinstance(ready := self.receive(), LoadProgress):
            pass
        assert isinstance(ready, Ready), ready
        self.ready = ready

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def send(self, frame: frames.ToWorker) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(frames.encode(frame))
        self._process.stdin.flush()

    def receive(self) -> frames.FromWorker:
        assert self._process.stdout is not None
        body = frames.read_body(self._process.stdout)
        assert body is not None, "the worker ended"
        return frames.from_worker_decoder.decode(body)

    def generate(
        self,
        *parts: str,
        history: History | None = None,
        max_tokens: int = 12,
        sampling: Sampling | None = None,
        **options: Any,
    ) -> Finished:
        """The whole answer to one user message, with the digest of its logits."""
        number = self.ask(*parts, history=history, max_tokens=max_tokens, sampling=sampling, **options)
        return self.finished([number])[number]

    def ask(
        self,
        *parts: str,
        history: History | None = None,
        max_tokens: int = 12,
        sampling: Sampling | None = None,
        before: Sequence[Message] = (),
        **options: Any,
    ) -> int:
        """Sends a user message, after those of `before`, and gives the number of the request."""
        self._next_id += 1
        self.send(
            frames.Generate(
                id=self._next_id,
                messages=[*before, Message("user", list(parts))],
                history=history,
                max_tokens=max_tokens,
                sampling=sampling or Sampling(temperature=0.0),
                logits_digest=True,
                **options,
            )
        )
        return self._next_id

    def finished(self, numbers: Iterable[int]) -> dict[int, Finished]:
        """The last frames of these requests, by their numbers."""
        left, found = set(numbers), {}
        while left:
            frame = self.receive()
            assert not isinstance(frame, Failed), frame
            if isinstance(frame, Finished):
                found[frame.id] = frame
                left.discard(frame.id)
        return found

    def call(self, frame: type[frames.Call], *arguments: Any) -> frames.CallAnswer | Failed:
        """The answer to a call; frames of running requests in between are dropped."""
        self._next_id += 1
        self.send(frame(self._next_id, *arguments))
        while True:
            answer = self.receive()
            if getattr(answer, "id", None) == self._next_id:
                assert isinstance(answer, frames.CallAnswer | Failed)
                return answer

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def kill(self) -> None:
        """`kill -9`."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
