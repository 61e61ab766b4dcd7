"""What becomes of bytes on a bad day: changes to HTTP requests and to frames, each decided by a random generator."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from erllama_daemon import frames

Mutation = Callable[[Random, bytes], bytes]

END = b"\r\n\r\n"
_ODD_HEADERS = (
    b"Content-Length: -1",
    b"Content-Length: 0x10",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5, 5",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding : chunked",
    b"Expect: 100-continue",
    b"Expect: something",
    b"Connection: upgrade\r\nUpgrade: websocket",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    b"Connection: close, keep-alive",
    b"Host: one\r\nHost: two",
    b"Host:",
    b"X: \x00",
    b"X: \xff\xfe",
    b" folded: line",
    b"No colon",
    b": no name",
    b"Content-Type: application/json; charset=utf-16",
    b"Content-Encoding: gzip",
    b"Authorization: Bearer",
    b"Authorization: Basic \xff",
    b"Range: bytes=0-1,5-2",
    b"Cookie: " + b"a=b; " * 200,
)
_CHUNKS = (
    b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nhello\r\n",
    b"-1\r\nhello\r\n0\r\n\r\n",
    b"5;ext=\x00\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"0\r\nTrailer: x\r\n\r\n",
    b"zz\r\n",
    b"5\r\nhell",
    b"",
)
_VERSIONS = (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.1.1", b"http/1.1", b"HTTP/9.9", b"")
_METHODS = (
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"OPTIONS",
    b"CONNECT",
    b"TRACE",
    b"DELETE",
    b"PRI",
    b"get",
    b"G\x00T",
    b"",
)
_BAD_TEXT = (
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b'"\\ud800"',
    b"\xf5\x80\x80\x80",
    b"\x00",
    b"[" * 3000,
    b"1e999",
    b"NaN",
)
_PATHS = (
    b"*",
    b"//",
    b"/%00",
    b"/%ff",
    b"/../v1/status",
    b"http://other/v1/status",
    b"/" + b"a" * 9000,
    b"/v1/status#x",
    b"/?" * 50,
)


def flip_bits(random: Random, raw: bytes) -> bytes:
    """One to eight bits are others."""
    changed = bytearray(raw)
    for _ in range(random.randint(1, 8)):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut(random: Random, raw: bytes) -> bytes:
    """Its end is missing."""
    return raw[: random.randrange(1, len(raw))]


def insert(random: Random, raw: bytes) -> bytes:
    """Something stands in it that does not belong there."""
    position = random.randrange(len(raw) + 1)
    return raw[:position] + random.randbytes(random.choice((1, 2, 16, 300))) + raw[position:]


def remove(random: Random, raw: bytes) -> bytes:
    """Something in the middle is missing."""
    position = random.randrange(len(raw))
    return raw[:position] + raw[position + random.randint(1, 40) :]


def repeat_a_header(random: Random, raw: bytes) -> bytes:
    """A line of its head comes again, up to two hundred times."""
    head, _, body = raw.partition(END)
    lines = head.split(b"\r\n")
    position = random.randrange(len(lines))
    lines[position:position] = [lines[position]] * random.choice((1, 2, 20, 200))
    return b"\r\n".join(lines) + END + body


def drop_a_header(random: Random, raw: bytes) -> bytes:
    """A line of its head is missing."""
    head, _, body = raw.partition(END)
    lines = head.split(b"\r\n")
    del lines[random.randrange(len(lines))]
    return b"\r\n".join(lines) + END + body


def huge_header(random: Random, raw: bytes) -> bytes:
    """A header is long, or there are many."""
    size = random.choice((1_000, 8_000, 40_000, 200_000))
    many = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(size // 12))
    return _with_header(raw, random.choice((b"X-Long: " + b"x" * size, b"X" * size + b": long", many[:-2])))


def odd_header(random: Random, raw: bytes) -> bytes:
    """A header that means trouble."""
    return _with_header(raw, random.choice(_ODD_HEADERS))


def both_lengths(random: Random, raw: bytes) -> bytes:
    """It has a length and comes in chunks."""
    head, _, body = raw.partition(END)
    return head + b"\r\nTransfer-Encoding: chunked" + END + random.choice((*_CHUNKS, body))


def nonsense_chunks(random: Random, raw: bytes) -> bytes:
    """It comes in chunks that are none."""
    head, _, _body = raw.partition(END)
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    chunks = b"".join(random.choices(_CHUNKS, k=random.randint(1, 3)))
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked"]) + END + chunks


def wrong_length(random: Random, raw: bytes) -> bytes:
    """Its length is not its body's."""
    head, _, body = raw.partition(END)
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    length = random.choice((0, 1, len(body) + 1, max(0, len(body) - 1), len(body) * 2 + 7, 1 << 31, 1 << 62))
    return b"\r\n".join([*lines, b"Content-Length: %d" % length]) + END + body


def pipelined(random: Random, raw: bytes) -> bytes:
    """It comes several times, and the last of them may be changed."""
    return raw * random.randint(1, 4) + random.choice((flip_bits, cut, insert))(random, raw)


def bad_text(random: Random, raw: bytes) -> bytes:
    """Its body holds what is no text or no JSON; its length is right."""
    head, _, body = raw.partition(END)
    position = random.randrange(len(body) + 1)
    changed = body[:position] + random.choice(_BAD_TEXT) + body[position:]
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(changed)]) + END + changed


def other_first_line(random: Random, raw: bytes) -> bytes:
    """Another method, another path or another version."""
    first, _, rest = raw.partition(b"\r\n")
    words = first.split(b" ")
    position = random.randrange(min(3, len(words)))
    words[position] = random.choice((_METHODS, _PATHS, _VERSIONS)[position])
    return b" ".join(words) + b"\r\n" + rest


def bare_line_ends(random: Random, raw: bytes) -> bytes:
    """Its lines end otherwise."""
    return raw.replace(b"\r\n", random.choice((b"\n", b"\r", b"\n\r", b"\r\r\n")))


OF_REQUESTS: tuple[Mutation, ...] = (
    flip_bits,
    cut,
    insert,
    remove,
    repeat_a_header,
    drop_a_header,
    huge_header,
    odd_header,
    both_lengths,
    nonsense_chunks,
    wrong_length,
    pipelined,
    bad_text,
    other_first_line,
    bare_line_ends,
)


def other_value(random: Random, frame: bytes) -> bytes:
    """A frame in which one value is another one; it can be decoded, or would be if that value made sense."""
    body: Any = msgspec.msgpack.decode(frame[frames.LENGTH_BYTES :])
    changed = msgspec.msgpack.encode(_changed(random, body))
    return len(changed).to_bytes(frames.LENGTH_BYTES, "little") + changed


def _changed(random: Random, value: Any) -> Any:
    if isinstance(value, dict) and value:
        key = random.choice([*value])
        if key == "type" and random.random() < 0.9:
            return value
        return {**value, key: _changed(random, value[key])}
    if isinstance(value, list) and value:
        position = random.randrange(len(value))
        if random.random() < 0.3:
            return value * random.choice((0, 2))
        return [*value[:position], _changed(random, value[position]), *value[position + 1 :]]
    return random.choice(_like(value))


def _like(value: Any) -> tuple[Any, ...]:
    if isinstance(value, bool):
        return (not value, None)
    if isinstance(value, int):
        return (value + 1, value - 1, 0, -1, 1 << 31, (1 << 63) - 1, -(1 << 63))
    if isinstance(value, float):
        return (0.0, -1.0, 1e308, float("nan"), float("inf"), value + 1)
    if isinstance(value, str):
        return ("", value + "x", value[:-1], "\0", "x" * 100_000, None)
    if isinstance(value, bytes):
        return (b"", value + b"\0", value[:-1], b"\xff" * 4 * 1_000, None)
    return (0, "", [], {}, True, b"\xff")


def wrong_prefix(random: Random, frame: bytes) -> bytes:
    """A frame that says another length than it has."""
    length = random.choice((0, 1, len(frame), len(frame) * 3, 1 << 24, (1 << 32) - 1))
    return length.to_bytes(frames.LENGTH_BYTES, "little") + frame[frames.LENGTH_BYTES :]


def same_length(random: Random, frame: bytes) -> bytes:
    """A frame in which some bits are others, but for its length."""
    return frame[: frames.LENGTH_BYTES] + flip_bits(random, frame[frames.LENGTH_BYTES :])


def mutated_frame(random: Random, frame: bytes) -> bytes:
    """A frame on a bad day. Most can still be told apart, for one that cannot ends a worker."""
    change = random.choices((other_value, same_length, wrong_prefix, flip_bits, cut, insert), (80, 10, 3, 3, 2, 2))[0]
    return change(random, frame)


def mutated_request(random: Random, raw: bytes) -> bytes:
    """A request on a bad day; on some of them two things go wrong."""
    for change in random.sample(OF_REQUESTS, random.choice((1, 1, 1, 2))):
        raw = change(random, raw) or raw
    return raw


def _with_header(raw: bytes, header: bytes) -> bytes:
    first, _, rest = raw.partition(b"\r\n")
    return first + b"\r\n" + header + b"\r\n" + rest
