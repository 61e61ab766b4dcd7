"""A whole daemon over fake workers, in the test's own process: its socket, its signals and its end are real."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from erllama_cache.errors import ErllamaError
from erllama_daemon.config import Config, Settings
from erllama_daemon.directories import Directories, user_directories
from erllama_daemon.doors.tcp import open_tcp
from erllama_daemon.life.life import Start
from erllama_daemon.life.listener import Listener, bind, prepare_folder
from erllama_daemon.life.systemd import Notifier
from erllama_daemon.server import serve

COMMAND = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))


@dataclass
class Living:
    """A running daemon; `end` is the task that ends with it.

    `config` is what it reads when it is told to, or why it cannot.
    """

    directories: Directories
    listener: Listener
    config: Config | ErllamaError
    end: asyncio.Task[None] = field(init=False)

    def read(self) -> Settings:
        if isinstance(self.config, ErllamaError):
            raise self.config
        return Settings(self.directories.config_file, self.config)

    def model(self, name: str = "a", **script: object) -> str:
        path = self.directories.runtime / f"{name}.gguf"
        path.write_bytes(msgspec.json.encode(script))
        return str(path)

    def seen(self, model: str, kind: str) -> list[dict[str, Any]]:
        file = Path(model).with_suffix(".seen")
        lines = file.read_text().splitlines() if file.exists() else []
        return [frame for frame in map(json.loads, lines) if frame["type"] == kind]

    async def ask(self, method: str, path: str, body: object = None) -> list[Any]:
        """The status of the answer, and then its lines."""
        reader, writer = await asyncio.open_unix_connection(self.listener.path)
        payload = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(payload)}\r\n\r\n"
        writer.write(head.encode() + payload)
        status, *_ = (await reader.readline()).split()[1:]
        while (await reader.readline()).strip():
            pass
        rest = await reader.read()
        writer.close()
        return [int(status), *(json.loads(line) for line in rest.splitlines() if line.startswith(b"{"))]

    def say(self, model: str, prompt: str) -> asyncio.Task[list[Any]]:
        body = {"model": model, "messages": [{"role": "user", "parts": [prompt]}]}
        return asyncio.create_task(self.ask("POST", "/v1/complete", body))

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask("GET", "/v1/status"))[1]
        return found


def signalled(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@asynccontextmanager
async def living(
    config: Config | None = None, *, given: socket.socket | None = None, notify: str | None = None
) -> AsyncIterator[Living]:
    """A daemon that has begun; it is ended if the test did not."""
    directories = user_directories()
    prepare_folder(directories)
    listener = bind(directories) if given is None else Listener(given, directories.socket, is_given=True)
    config = config or Config()
    alive = Living(directories, listener, config)
    start = Start(
        directories=directories,
        settings=alive.read(),
        read=alive.read,
        listener=listener,
        tcp=open_tcp(config.daemon),
        by="foreground",
        notifier=Notifier(notify),
        worker_command=COMMAND,
    )
    alive.end = asyncio.create_task(serve(start))
    try:
        await asyncio.wait_for(_until_served(alive), 20)
        yield alive
    finally:
        if not alive.end.done():
            for _ in range(2):
                signalled(signal.SIGTERM)
                await asyncio.sleep(0)
        await asyncio.wait_for(alive.end, 60)


async def _until_served(alive: Living) -> None:
    while not alive.end.done():
        try:
            await alive.status()
        except OSError:
            await asyncio.sleep(0.001)
        else:
            return


def listening(path: Path) -> socket.socket:
    """A socket as systemd makes it."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(os.fspath(path))
    made.listen()
    return made


def notifications(path: Path) -> closing[socket.socket]:
    """What systemd is told arrives here."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(os.fspath(path))
    made.settimeout(20)
    return closing(made)
