"""The daemon's doors, real sockets, before an application of a test's own; no worker, no life."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from uvicorn.server import ServerState

from erllama_daemon.api_key import ApiKey
from erllama_daemon.config import Address, DaemonConfig
from erllama_daemon.directories import user_directories
from erllama_daemon.doors.doors import Doors
from erllama_daemon.doors.tcp import TcpListener, open_tcp
from erllama_daemon.http.body import json_response
from erllama_daemon.http.door import Door
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint, Refusals
from erllama_daemon.http.unknown_endpoint import UnknownEndpoint
from erllama_daemon.http.visit import around

ANY_PORT = Address("127.0.0.1:0")
TLS = Path(__file__).with_name("tls")
PIECE = b"x" * (1 << 16)


@dataclass
class Hall:
    """`written` are the bytes that the endpoint that floods could get rid of, `left` says that its client is gone.

    `statuses` are those of all responses.
    """

    key: ApiKey
    tcp: TcpListener
    socket: Path
    doors: Doors
    statuses: list[int | None]
    written: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    bodies: list[int] = field(default_factory=list)

    async def connect(
        self, door: Door, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if door == "unix":
            return await asyncio.open_unix_connection(self.socket)
        return await asyncio.open_connection("127.0.0.1", self.tcp.port, ssl=tls)

    async def say(self, door: Door, raw: bytes, tls: ssl.SSLContext | None = None) -> bytes:
        """All that comes back until the daemon hangs up, or nothing more can come."""
        reader, writer = await self.connect(door, tls)
        try:
            writer.write(raw)
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def ask(self, *headers: str, method: str = "GET", path: str = "/echo", door: Door = "tcp") -> Answer:
        """One request over a connection of its own, with a host if none is given, and the key, unless there is one."""
        lines = [f"{method} {path} HTTP/1.1", "Connection: close", *headers]
        names = [line.lower().partition(":")[0] for line in headers]
        if "host" not in names:
            lines.append(f"Host: 127.0.0.1:{self.tcp.port}")
        if not {"authorization", "x-api-key"} & {*names}:
            lines.append(f"x-api-key: {self.key.text()}")
        return Answer.of(await self.say(door, "\r\n".join([*lines, "", ""]).encode()))

    def head(self, *lines: str) -> bytes:
        """The head of a request to `/echo` that is let in."""
        first = ("POST /echo HTTP/1.1", "Host: localhost", f"x-api-key: {self.key.text()}")
        return "\r\n".join([*first, *lines, "", ""]).encode()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, raw: bytes) -> Answer:
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(int(first.split()[1]) if first else 0, headers, body)

    @property
    def code(self) -> str:
        found: str = json.loads(self.body)["code"]
        return found


@asynccontextmanager
async def hall(config: DaemonConfig | None = None) -> AsyncIterator[Hall]:
    config = config or DaemonConfig(http=ANY_PORT)
    tcp = open_tcp(config)
    assert tcp is not None
    path = user_directories().runtime.parent / "hall.sock"
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unix.bind(os.fspath(path))
    key = ApiKey(user_directories())
    key.text()
    made: list[Hall] = []

    async def echo(request: Request) -> Response:
        size = len(await request.body())
        made[0].bodies.append(size)
        return json_response({"bytes": size})

    async def flood(_request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield PIECE
                    made[0].written += len(PIECE)
                    await asyncio.sleep(0)
            finally:
                made[0].left.set()

        return StreamingResponse(pieces())

    async def much(_request: Request) -> Response:
        return Response(PIECE * 16)

    async def some(_request: Request) -> Response:
        return Response(PIECE[:50_000])

    endpoints = [
        Endpoint(method="POST", path="/echo", handler=echo, doors=EVERYBODY),
        Endpoint(method="GET", path="/echo", handler=echo, doors=EVERYBODY),
        Endpoint(method="GET", path="/flood", handler=flood, doors=EVERYBODY),
        Endpoint(method="GET", path="/much", handler=much, doors=EVERYBODY),
        Endpoint(method="GET", path="/some", handler=some, doors=EVERYBODY),
        Endpoint(method="GET", path="/own", handler=echo),
        Endpoint(method="GET", path="/health", handler=echo, doors=EVERYBODY),
    ]
    nowhere = UnknownEndpoint(endpoints).response
    app = Starlette(routes=[each.route for each in endpoints], exception_handlers={HTTPException: nowhere})
    statuses: list[int | None] = []
    visited = partial(around, on_response=lambda _, status: statuses.append(status))
    doors = Doors(app, Refusals(endpoints), config, unix=unix, tcp=tcp, key=key, visited=visited)
    made.append(Hall(key, tcp, path, doors, statuses))
    state = ServerState()
    servers = await doors.open(state)
    try:
        yield made[0]
    finally:
        for server in servers:
            server.close()
        for connection in [*state.connections]:
            if connection.transport is not None:
                connection.transport.abort()
        while state.connections or state.tasks:
            await asyncio.sleep(0.001)
        path.unlink()


Story = Callable[[Hall], Coroutine[Any, Any, None]]


def tell(story: Story, config: DaemonConfig | None = None) -> None:
    """Runs a story in a hall of its own."""

    async def run() -> None:
        async with hall(config) as found:
            await asyncio.wait_for(story(found), 60)

    asyncio.run(run())
