"""One request to the daemon and its answer: as much of HTTP/1.1 as that takes.

`http.client` can more, and for that imports the parsers of e-mail and TLS: they take longer than a short answer.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Self

_LEAST_REFUSAL = 400
_LINE_LIMIT = 1 << 14
_HEADERS_LIMIT = 100


class AnswerBroken(Exception):
    """What came is no HTTP, or ends before it is over."""


class Exchange:
    """A request that was sent, and its answer as it comes; a context manager. Closing the connection is its caller's.

    Everything raises OSError as a socket does, and AnswerBroken.
    """

    def __init__(self, connection: socket.socket, method: str, path: str, body: bytes | None) -> None:
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
        if body is not None:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        connection.sendall("".join(f"{line}\r\n" for line in [*head, ""]).encode("ascii") + (body or b""))
        self._stream = connection.makefile("rb")
        self.status = self._read_status()
        self._headers = self._read_headers()
        self._pieces = self._read_pieces(self._headers)
        self._rest = b""
        """What came of the body and was not asked for yet."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stream.close()

    @property
    def is_refusal(self) -> bool:
        """Whether the answer says why there is none."""
        return self.status >= _LEAST_REFUSAL

    def header(self, name: str) -> str | None:
        """The value of a header whose name is in small letters, itself in small letters, or None."""
        value = self._headers.get(name.encode("ascii"))
        return None if value is None else value.decode("latin-1")

    def read(self) -> bytes:
        """The rest of the body."""
        return b"".join([self._rest, *self._pieces])

    def readline(self) -> bytes:
        """The next line of the body with its end, as soon as it is there; what is left if none ends; then nothing."""
        while b"\n" not in self._rest:
            piece = next(self._pieces, b"")
            self._rest += piece
            if not piece:
                break
        line, end, self._rest = self._rest.partition(b"\n")
        return line + end

    def _read_status(self) -> int:
        version, _, rest = self._line().partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise AnswerBroken("it does not begin as an answer does")
        return _number(rest[:3], 10)

    def _read_headers(self) -> dict[bytes, bytes]:
        headers: dict[bytes, bytes] = {}
        while line := self._line():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip().lower()
            if len(headers) > _HEADERS_LIMIT:
                raise AnswerBroken("its head has no end")
        return headers

    def _read_pieces(self, headers: dict[bytes, bytes]) -> Iterator[bytes]:
        """The body: in chunks, of a length that is known, or all that comes until the daemon hangs up."""
        if headers.get(b"transfer-encoding") == b"chunked":
            while size := _number(self._line().partition(b";")[0], 16):
                yield self._exactly(size)
                self._line()
        elif b"content-length" in headers:
            yield self._exactly(_number(headers[b"content-length"], 10))
        else:
            while piece := self._stream.read1(_LINE_LIMIT):
                yield piece

    def _exactly(self, size: int) -> bytes:
        piece = self._stream.read(size)
        if len(piece) < size:
            raise AnswerBroken("it ends in the middle")
        return piece

    def _line(self) -> bytes:
        line = self._stream.readline(_LINE_LIMIT)
        if not line.endswith(b"\n"):
            raise AnswerBroken("it ends in the middle of a line, or that has no end")
        return line.rstrip(b"\r\n")


def _number(digits: bytes, base: int) -> int:
    try:
        number = int(digits, base)
    except ValueError as error:
        raise AnswerBroken(f"{digits!r} is no number") from error
    if number < 0:
        raise AnswerBroken(f"{number} is no number of anything")
    return number
