"""A worker process spoken to directly, frame by frame, as the daemon does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from erllama_daemon import frames
from erllama_daemon.frames import Failed, Finished, History, Ready
from erllama_daemon.messages import Message, Sampling


class WorkerProcess:
    """One worker with its cache in `cache`; killed at the end of the `with` block unless it was stopped."""

    def __init__(self, model: Path, cache: Path, *, ram_bytes: int = 1 << 28) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "erllama_daemon.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._next_id = 0
        self.send(frames.Configure(model=model.name, path=str(model), cache=str(cache), ram_bytes=ram_bytes))
        ready = self.receive()
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
    ) -> Finished:
        """The whole answer to one user message, with the digest of its logits."""
        self._next_id += 1
        self.send(
            frames.Generate(
                id=self._next_id,
                messages=[Message("user", list(parts))],
                history=history,
                max_tokens=max_tokens,
                sampling=sampling or Sampling(temperature=0.0),
                logits_digest=True,
            )
        )
        while True:
            frame = self.receive()
            assert not isinstance(frame, Failed), frame
            if isinstance(frame, Finished):
                return frame

    def kill(self) -> None:
        """`kill -9`."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
