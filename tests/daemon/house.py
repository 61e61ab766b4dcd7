"""A supervisor of fake workers, with a clock and a memory that a test sets."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from erllama_cache.errors import ErllamaError
from erllama_daemon import frames
from erllama_daemon.config import ByteSize, CacheConfig, Config
from erllama_daemon.messages import Message, ModelOptions, Sampling
from erllama_daemon.models.keeper import Lease
from erllama_daemon.models.supervisor import Supervisor

COMMAND = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
GIB = 1 << 30
CONFIG = Config(cache=CacheConfig(ram_bytes=ByteSize(1 << 20)))


class House:
    """A supervisor of fake workers, with a clock and a memory that a test sets."""

    def __init__(self, folder: Path, config: Config = CONFIG, watch_s: float = 3600.0) -> None:
        self.folder = folder
        self.now = 1000.0
        self.available: Callable[[], int | None] = lambda: None
        self.supervisor = Supervisor(
            folder / "cache",
            log=folder / "daemon.log",
            config=config,
            command=COMMAND,
            clock=lambda: self.now,
            available_bytes=lambda: self.available(),
            watch_s=watch_s,
        )

    def model(self, name: str = "a", **script: object) -> Path:
        path = self.folder / f"{name}.gguf"
        path.write_bytes(msgspec.json.encode(script))
        return path

    def seen(self, path: Path, kind: str) -> list[dict[str, Any]]:
        """The frames of a kind that the workers of a model were sent."""
        file = path.with_suffix(".seen")
        lines = file.read_text().splitlines() if file.exists() else []
        return [frame for frame in map(json.loads, lines) if frame["type"] == kind]

    async def acquire(self, path: Path, **options: Any) -> Lease:
        return await self.supervisor.acquire(path.stem, path, options=ModelOptions(**options))

    async def touch(self, path: Path, **options: Any) -> int:
        """Uses a model and lets go of it at once; gives its worker's process."""
        lease = await self.acquire(path, **options)
        lease.release()
        return lease.worker.pid

    async def say(self, path: Path, prompt: str) -> frames.FromWorker:
        """The last frame of an answer."""
        request = generate(self.supervisor.next_id(), prompt)
        lease = await self.supervisor.acquire(path.stem, path, request=request)
        answers = lease.worker.ask(request)
        try:
            while True:
                frame = await answers.get()
                if isinstance(frame, frames.Finished | frames.Failed):
                    return frame
        finally:
            lease.worker.forget(request.id)
            lease.release()

    async def loaded(self) -> list[str]:
        return [row.id for row in await self.supervisor.statuses()]


def generate(request_id: int, prompt: str) -> frames.Generate:
    return frames.Generate(id=request_id, messages=[Message("user", [prompt])], max_tokens=9, sampling=Sampling())


@asynccontextmanager
async def house_in(folder: Path, **settings: Any) -> AsyncIterator[House]:
    house = House(folder, **settings)
    try:
        yield house
    finally:
        await house.supervisor.stop()


Story = Callable[[House], Coroutine[Any, Any, None]]


Tell = Callable[..., None]
"""Runs a story in a house of its own, with what is given besides as its settings."""


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def settle() -> None:
    """Lets every task run as far as it gets without a worker."""
    for _ in range(20):
        await asyncio.sleep(0)


async def failure_of(awaitable: Awaitable[object]) -> ErllamaError:
    with pytest.raises(ErllamaError) as raised:
        await awaitable
    return raised.value
