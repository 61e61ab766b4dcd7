"""What one client may take at a door: bytes, connections and time."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from daemon.hall import ANY_PORT, Answer, Hall, tell

from erllama_daemon.config import ByteSize, DaemonConfig, Duration
from erllama_daemon.doors import connection
from erllama_daemon.http.door import Door

BOTH: tuple[Door, ...] = ("tcp", "unix")
SHORT, LONG = Duration(0.2), Duration(600.0)


def limits(**changed: Any) -> DaemonConfig:
    """No other limit is met before the one that is tested."""
    patient: dict[str, Any] = dict.fromkeys(("header_timeout", "body_timeout", "write_timeout", "idle_timeout"), LONG)
    return DaemonConfig(**{"http": ANY_PORT, **patient, **changed})


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize("door", BOTH)
def test_a_body_that_is_too_large_is_refused_however_it_is_sent(door: Door) -> None:
    async def story(hall: Hall) -> None:
        fits = await hall.say(door, hall.head("Content-Length: 1000", "Connection: close") + b"[" * 1000)
        assert Answer.of(fits).status == 200
        declared = Answer.of(await hall.say(door, hall.head("Content-Length: 1001", "Connection: close") + b"[" * 1001))
        assert (declared.status, declared.code) == (413, "body_too_large")
        body = chunk(b"[" * 500) * 2 + chunk(b"[")
        chunked = hall.head("Transfer-Encoding: chunked", "Connection: close") + body + chunk(b"")
        assert Answer.of(await hall.say(door, chunked)).code == "body_too_large"
        assert hall.bodies == [1000]

    tell(story, limits(body_bytes=ByteSize(1000)))


def test_who_asks_before_it_sends_is_refused_before_it_sends() -> None:
    async def story(hall: Hall) -> None:
        asked = hall.head("Content-Length: 1001", "Expect: 100-continue", "Connection: close")
        assert Answer.of(await hall.say("tcp", asked)).status == 413

    tell(story, limits(body_bytes=ByteSize(1000)))


def test_a_body_without_a_key_is_not_kept_and_is_thrown_away_for_a_short_time_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "LINGER_S", 0.2)

    async def story(hall: Hall) -> None:
        reader, writer = await hall.connect("tcp")
        writer.write(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999999\r\n\r\n")
        assert b" 401 " in await reader.readline()
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(10):
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
                    await asyncio.sleep(0)

    tell(story, limits())


@pytest.mark.parametrize("door", BOTH)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_head_that_is_too_long_or_has_too_many_lines_is_refused(door: Door, *, at_once: bool) -> None:
    async def story(hall: Hall) -> None:
        for head in (f"X: {'y' * 3000}", *["\r\n".join(f"X-{number}: y" for number in range(20))]):
            raw = hall.head(head, "Content-Length: 0", "Connection: close")
            reader, writer = await hall.connect(door)
            for part in [raw] if at_once else [raw[:100], raw[100:]]:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.01)
            found = Answer.of(await reader.read())
            assert (found.status, found.code) == (431, "head_too_large")
            writer.close()
        assert Answer.of(await hall.say(door, hall.head("Content-Length: 0", "Connection: close"))).status == 200

    tell(story, limits(header_bytes=ByteSize(2000), header_count=15))


@pytest.mark.parametrize("door", BOTH)
def test_who_takes_too_long_to_ask_is_hung_up_on(door: Door) -> None:
    async def story(hall: Hall) -> None:
        assert await hall.say(door, b"") == b""
        late = Answer.of(await hall.say(door, b"POST /echo HTTP/1.1\r\nHost: local"))
        assert (late.status, late.code) == (408, "request_too_slow")
        reader, writer = await hall.connect(door)
        writer.write(hall.head("Content-Length: 0"))
        assert b" 200 " in await reader.readline()
        writer.write(b"POST ")  # the second request is no more patiently awaited than the first
        assert b" 408 " in await reader.read()
        writer.close()

    tell(story, limits(header_timeout=SHORT))


@pytest.mark.parametrize("door", BOTH)
@pytest.mark.parametrize("framing", ["Content-Length: 9", "Transfer-Encoding: chunked"])
def test_who_pauses_within_a_body_is_hung_up_on(door: Door, framing: str) -> None:
    async def story(hall: Hall) -> None:
        late = Answer.of(await hall.say(door, hall.head(framing) + b"3\r\nabc\r\n"[: 8 if "chunked" in framing else 5]))
        assert (late.status, late.code) == (408, "request_too_slow")
        assert hall.bodies == []

    tell(story, limits(body_timeout=SHORT))


@pytest.mark.parametrize("door", BOTH)
def test_who_asks_nothing_more_is_hung_up_on(door: Door) -> None:
    async def story(hall: Hall) -> None:
        found = Answer.of(await hall.say(door, hall.head("Content-Length: 0")))
        assert (found.status, found.headers.get("connection")) == (200, None)

    tell(story, limits(idle_timeout=SHORT))


@pytest.mark.parametrize("door", BOTH)
def test_only_so_many_are_let_in_and_at_each_door_for_itself(door: Door) -> None:
    async def story(hall: Hall) -> None:
        inside = [await hall.connect(door) for _ in range(2)]
        for reader, writer in inside:
            writer.write(hall.head("Content-Length: 0"))
            assert b" 200 " in await reader.readline()
        refused = Answer.of(await hall.say(door, b""))
        assert (refused.status, refused.code) == (503, "too_many_connections")
        (other,) = {*BOTH} - {door}
        assert Answer.of(await hall.say(other, hall.head("Content-Length: 0", "Connection: close"))).status == 200
        for _reader, writer in inside:
            writer.close()
            await writer.wait_closed()
        while Answer.of(await hall.say(door, hall.head("Content-Length: 0", "Connection: close"))).status != 200:
            pass  # the daemon has not seen yet that they left

    tell(story, limits(connections=2, http_connections=2))


def small_window(hall: Hall, door: Door, size: int = 4096) -> socket.socket:
    """A client that takes nothing unless it is told to, with little room on its way."""
    made = socket.socket(socket.AF_UNIX if door == "unix" else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    made.connect(str(hall.socket) if door == "unix" else ("127.0.0.1", hall.tcp.port))
    return made


@pytest.mark.parametrize("door", BOTH)
def test_who_takes_nothing_of_an_answer_is_cut_off_and_little_is_kept_for_it(door: Door) -> None:
    async def story(hall: Hall) -> None:
        with small_window(hall, door) as client:
            client.sendall(hall.head("Content-Length: 0").replace(b"POST /echo", b"GET /flood"))
            await hall.left.wait()
            assert hall.written < 8 << 20  # the kernel's buffers, and one piece more
            others = await hall.say(door, hall.head("Content-Length: 0", "Connection: close"))
            assert Answer.of(others).status == 200

    tell(story, limits(write_timeout=SHORT))


async def narrow(hall: Hall, door: Door) -> set[asyncio.Protocol]:
    """Who is connected at a door, with little room on the way to each of them."""
    connections = hall.doors._opened[BOTH[::-1].index(door)].connections
    while not connections:
        await asyncio.sleep(0.001)
    for each in connections:
        transport: asyncio.Transport = each.transport  # type: ignore[attr-defined]
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return connections


@pytest.mark.parametrize("door", BOTH)
def test_an_answer_that_is_complete_and_not_taken_is_let_go(door: Door) -> None:
    async def story(hall: Hall) -> None:
        with small_window(hall, door) as client:
            connections = await narrow(hall, door)
            client.sendall(hall.head("Content-Length: 0").replace(b"POST /echo", b"GET /some"))
            while connections:
                await asyncio.sleep(0.001)

    tell(story, limits(write_timeout=SHORT))


def test_who_takes_its_answer_slowly_gets_all_of_it() -> None:
    async def story(hall: Hall) -> None:
        with small_window(hall, "tcp", 1 << 15) as client:
            client.setblocking(False)
            loop, taken = asyncio.get_running_loop(), 0
            await narrow(hall, "tcp")
            raw = hall.head("Content-Length: 0", "Connection: close").replace(b"POST /echo", b"GET /much")
            await loop.sock_sendall(client, raw)
            while piece := await loop.sock_recv(client, 1 << 15):
                taken += len(piece)
                await asyncio.sleep(0.01)
            assert taken > 16 * (1 << 16)

    tell(story, limits(write_timeout=Duration(0.1)))


SMUGGLED = {
    "two lengths": "Content-Length: 5\r\nContent-Length: 6",
    "a length and chunks": "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "a length and chunks of something": "Content-Length: 5\r\nTransfer-Encoding: chunked, identity",
    "an encoding that nobody knows": "Transfer-Encoding: xchunked",
    "chunks twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "a length with a sign": "Content-Length: +5",
    "a length that is none": "Content-Length: 0x5",
    "a bare carriage return in a value": "X: a\rTransfer-Encoding: chunked",
    "a NUL": "X: a\0b",
    "a space before the colon": "Transfer-Encoding : chunked",
    "a line that goes on before the first": " X: y",
    "no colon": "X",
}


@pytest.mark.parametrize("header", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_what_two_readers_could_take_for_different_requests_is_refused(header: str) -> None:
    async def story(hall: Hall) -> None:
        raw = f"POST /echo HTTP/1.1\r\n{header}\r\nHost: localhost\r\nx-api-key: {hall.key.text()}\r\n\r\n0\r\n\r\n"
        found = Answer.of(await hall.say("tcp", raw.encode()))
        assert found.status in (400, 501) and found.code == "request_malformed"
        assert hall.bodies == []

    tell(story, limits(body_timeout=SHORT))


def test_an_obsolete_line_that_goes_on_is_one_with_the_line_above() -> None:
    async def story(hall: Hall) -> None:
        raw = hall.head("X: a", " Content-Length: 3", "Content-Length: 0", "Connection: close")
        assert Answer.of(await hall.say("tcp", raw)).status == 200
        assert hall.bodies == [0]

    tell(story, limits())


def test_garbage_is_told_as_such_and_harms_nobody() -> None:
    async def story(hall: Hall) -> None:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        for raw in (hello, b"GET\r\n\r\n", b"\0" * 99, b"GET / HTTQ/1.1\r\n\r\n", b"HELO\n\n"):
            found = Answer.of(await hall.say("tcp", raw))
            assert (found.status, found.code) == (400, "request_malformed"), raw
            assert json.loads(found.body)["hint"]
        chunked = hall.head("Transfer-Encoding: chunked") + b"zz\r\n"
        assert Answer.of(await hall.say("tcp", chunked)).code == "request_malformed"
        assert Answer.of(await hall.say("tcp", hall.head("Content-Length: 0", "Connection: close"))).status == 200

    tell(story, limits(body_timeout=SHORT))
