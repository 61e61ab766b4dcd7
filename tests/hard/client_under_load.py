"""One client of a daemon under load: well-behaved, slow to read, one that hangs up, or one that floods."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

import h11

LONGEST_S = 1_200.0
"""Who has no answer after this has lost it."""

BUSY = "rate_limit_exceeded"
"""What OpenAI's clients are told when the queue is full; of several answers, some may have begun."""

SIPS = 256
"""So many bytes a slow reader takes at a time."""

SIP_PAUSE_S = 0.05
FLOOD = 8
"""So many answers a flooding client asks for at once."""


class Kind(StrEnum):
    """How a client behaves."""

    WELL = "well-behaved"
    SLOW = "slow reader"
    HANG_UP = "hangs up"
    FLOOD = "floods"


@dataclass
class Tally:
    """What all clients saw together."""

    answers: Counter[Kind] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    hung_up: int = 0
    reused: int = 0
    lost: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)


class Gone(Exception):
    """The connection ended before the answer did."""


@dataclass
class Client:
    """Asks over one connection after another, always for an answer that holds the request's own name."""

    name: str
    host: str
    port: int
    key: str
    kind: Kind
    tally: Tally
    seed: int
    asked: int = 0
    first_token_s: list[float] = field(default_factory=list)
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None
    _http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT))

    def __post_init__(self) -> None:
        self._random = Random(f"{self.seed}-{self.name}")

    async def run(self, until: float, pause_s: float) -> None:
        """Asks again and again until a moment of the monotonic clock, with so long a pause, about, in between."""
        while time.monotonic() < until:
            await self.ask()
            await asyncio.sleep(self._random.uniform(0, 2 * pause_s))
        self.close()

    async def ask(self) -> None:
        """One request, and its answer or its end."""
        self.asked += 1
        own = f"{self.name}-{self.asked}"
        is_stream = self.kind in (Kind.SLOW, Kind.HANG_UP) or self._random.random() < 0.5
        count = FLOOD if self.kind is Kind.FLOOD else 1
        try:
            if self.kind is Kind.HANG_UP:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._exchange(own, count, is_stream=True), self._random.uniform(0, 6))
                self.tally.hung_up += 1
                self.close()
                return
            status, body = await asyncio.wait_for(self._exchange(own, count, is_stream=is_stream), LONGEST_S)
        except (Gone, OSError, TimeoutError, h11.ProtocolError) as error:
            if self.kind is not Kind.HANG_UP:
                self.tally.lost.append(f"{own} ({self.kind}): {error!r}")
            self.close()
            return
        self._judge(own, count, status, body, is_stream=is_stream)

    async def first_token(self) -> None:
        """One streamed request; how long its first token took is noted."""
        self.asked += 1
        own = f"{self.name}-{self.asked}"
        status, body = await asyncio.wait_for(self._exchange(own, 1, is_stream=True), LONGEST_S)
        self._judge(own, 1, status, body, is_stream=True)

    def close(self) -> None:
        """Hangs up."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    def _judge(self, own: str, count: int, status: int, body: bytes, *, is_stream: bool) -> None:
        if status != 200 or (is_stream and BUSY.encode() in body):
            self.tally.refused[f"{status} {_code(body)}" if status != 200 else f"{BUSY} in a stream"] += 1
            return
        try:
            texts = (
                _streamed(body) if is_stream else [each["message"]["content"] for each in json.loads(body)["choices"]]
            )
            names = [json.loads(text)["id"] for text in texts]
        except (ValueError, KeyError, TypeError) as error:
            self.tally.lost.append(f"{own} ({self.kind}): {error!r} in {body[-300:]!r}")
            return
        if names != [own] * count:
            self.tally.mixed.append(f"{own} ({self.kind}) was told {names}")
        self.tally.answers[self.kind] += count

    async def _exchange(self, own: str, count: int, *, is_stream: bool) -> tuple[int, bytes]:
        await self._connect()
        assert self._writer is not None
        body = json.dumps(_asked(own, count, is_stream=is_stream)).encode()
        headers = {
            "Host": f"{self.host}:{self.port}",
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        request = h11.Request(method="POST", target="/v1/chat/completions", headers=list(headers.items()))
        sent = time.monotonic()
        self._writer.write(
            b"".join(self._http.send(event) or b"" for event in (request, h11.Data(body), h11.EndOfMessage()))
        )
        await self._writer.drain()
        status, answer, is_first = 0, b"", True
        async for event in self._events():
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                answer += bytes(event.data)
                if is_first and b'"content":"' in answer and is_stream:
                    is_first = False
                    self.first_token_s.append(time.monotonic() - sent)
        return status, answer

    async def _connect(self) -> None:
        if self._writer is not None and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self.tally.reused += 1
            return
        self.close()
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self.kind is Kind.SLOW:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (self.host, self.port))
        self._reader, self._writer = await asyncio.open_connection(sock=made, limit=4096)
        self._http = h11.Connection(h11.CLIENT)

    async def _events(self) -> AsyncIterator[Any]:
        assert self._reader is not None
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                size = 1 << 16
                if self.kind is Kind.SLOW:
                    await asyncio.sleep(SIP_PAUSE_S)
                    size = SIPS
                self._http.receive_data(await self._reader.read(size))
                continue
            if isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                raise Gone
            yield event
            if isinstance(event, h11.EndOfMessage):
                return


def _asked(own: str, count: int, *, is_stream: bool) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"id": {"const": own}},
        "required": ["id"],
        "additionalProperties": False,
    }
    return {
        "model": "demo",
        "messages": [{"role": "user", "content": f"Your name is {own}. What is your name?"}],
        "max_tokens": 64,
        "n": count,
        "stream": is_stream,
        "response_format": {"type": "json_schema", "json_schema": {"name": "name", "schema": schema}},
    }


def _streamed(body: bytes) -> list[str]:
    """The texts of a stream that came to its end."""
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines() if line.startswith("data: ")]
    if not lines or lines[-1] != "[DONE]":
        raise ValueError("the stream has no end")
    texts: dict[int, str] = {}
    for line in lines[:-1]:
        chunk = json.loads(line)
        if "error" in chunk:
            raise ValueError(line)
        for choice in chunk["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + (choice["delta"].get("content") or "")
    return [texts[index] for index in sorted(texts)]


def _code(body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(error.get("code"))
