"""The daemon's application over fake workers, asked without a socket."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.types import Message as AsgiMessage

from erllama_daemon.config import Settings, effective
from erllama_daemon.directories import user_directories
from erllama_daemon.http.app import App, create_app, visited
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.messages import DaemonStatus, Reloaded
from erllama_daemon.models.supervisor import Supervisor

COMMAND = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))


class Response:
    """What came of a request so far, and a way to hang up."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.gone = asyncio.Event()
        self.task: asyncio.Task[None]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def sent(self) -> list[Any]:
        """The data of server-sent events, as far as they are JSON."""
        data = [line.removeprefix(b"data: ") for line in self.body.splitlines() if line.startswith(b"data: ")]
        return [json.loads(each) for each in data if each != b"[DONE]"]

    @property
    def named_events(self) -> list[tuple[str, Any]]:
        """The name and the data of each server-sent event."""
        found = []
        for event in self.body.decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in event.split("\n"))
            found.append((fields.get("event", ""), json.loads(fields["data"])))
        return found

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]

    async def until_event(self, event: str) -> None:
        while event not in self.events():
            await asyncio.sleep(0.001)

    async def hang_up(self) -> None:
        self.gone.set()
        await self.task


class NoLife:
    """A daemon that neither ends nor changes."""

    def stop(self) -> None:
        pass

    def why_in_use(self) -> str | None:
        return None

    def reload(self) -> Reloaded:
        return Reloaded([], [])

    @property
    def settings(self) -> Settings:
        return effective(user_directories().config_file, {})

    @property
    def connections(self) -> int:
        return 1

    def told(self, status: DaemonStatus) -> DaemonStatus:
        return status


class Daemon:
    """The application over fake workers, asked without a socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directories = user_directories()
        self.conversations = Conversations(self.directories.sessions)
        self.sessions = self.conversations.kept
        self.supervisor = Supervisor(
            folder / "cache", log=folder / "log", command=COMMAND, available_bytes=lambda: None
        )
        self.app = App(self.directories, self.supervisor, self.conversations, NoLife())
        self._asgi = visited(create_app(self.app), self.app)

    def model(self, name: str = "a", **script: object) -> str:
        path = self.folder / f"{name}.gguf"
        path.write_bytes(msgspec.json.encode(script))
        return str(path)

    def seen(self, model: str, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.all_seen(model) if frame["type"] == kind]

    def all_seen(self, model: str) -> list[dict[str, Any]]:
        file = Path(model).with_suffix(".seen")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    async def until_seen(self, model: str, kind: str) -> None:
        while not self.seen(model, kind):
            await asyncio.sleep(0.001)

    def start(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Response:
        response, sent = Response(), False
        payload = body if isinstance(body, bytes) else msgspec.json.encode(body)

        async def receive() -> AsgiMessage:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": payload, "more_body": False}
            await response.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start":
                response.status = message["status"]
                response.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            elif message["type"] == "http.response.body":
                response.body += message["body"]

        path, _mark, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
            "query_string": query.encode(),
            "asgi": {},
        }
        response.task = asyncio.ensure_future(self._asgi(scope, receive, send))
        return response

    async def get(self, path: str) -> Response:
        return await self._whole("GET", path)

    async def delete(self, path: str) -> Response:
        return await self._whole("DELETE", path)

    async def post(self, path: str, body: object = None) -> Response:
        return await self._whole("POST", path, body)

    async def _whole(self, method: str, path: str, body: object = None) -> Response:
        response = self.start(method, path, body)
        await response.task
        return response

    async def status(self) -> list[dict[str, Any]]:
        response = self.start("GET", "/v1/status")
        await response.task
        models: list[dict[str, Any]] = response.json["models"]
        return models


def ask(model: str, prompt: str, **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "parts": [prompt]}], **more}


def say(session: str, prompt: str, **more: object) -> dict[str, object]:
    return {"session": session, "messages": [{"role": "user", "parts": [prompt]}], **more}


Story = Callable[[Daemon], Coroutine[Any, Any, None]]
Tell = Callable[[Story], None]


@asynccontextmanager
async def daemon_in(folder: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon(folder)
    try:
        yield daemon
    finally:
        daemon.app.answers.cancel_all()
        await daemon.app.answers.finish()
        await daemon.supervisor.stop()
        daemon.conversations.close()


def tell_in(folder: Path) -> Tell:
    """Runs a story with a daemon of its own."""

    async def run(story: Story) -> None:
        async with daemon_in(folder) as daemon:
            await asyncio.wait_for(story(daemon), 60)

    return lambda story: asyncio.run(run(story))
