from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from erllama_cli.exchange import AnswerBroken, Exchange

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
CHUNKED = HEAD + b"transfer-encoding: Chunked\r\n\r\n"


class Daemon:
    """The other end of a connection: what it says is there before it is asked."""

    def __init__(self) -> None:
        self.theirs, self.ours = socket.socketpair()

    def says(self, answer: bytes) -> None:
        """…and hangs up."""
        self.ours.sendall(answer)
        self.ours.shutdown(socket.SHUT_WR)

    def asked(self, method: str = "GET", path: str = "/v1/status", body: bytes | None = None) -> Exchange:
        return Exchange(self.theirs, method, path, body)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    daemon = Daemon()
    with closing(daemon.theirs), closing(daemon.ours):
        yield daemon


def test_a_request_is_one_that_any_server_understands(daemon: Daemon) -> None:
    daemon.says(HEAD + b"Content-Length: 0\r\n\r\n")
    with daemon.asked("POST", "/v1/complete", b"{}") as answer:
        assert (answer.status, answer.is_refusal, answer.read()) == (200, False, b"")
    head, _, body = daemon.ours.recv(1 << 16).partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    assert (first, body) == (b"POST /v1/complete HTTP/1.1", b"{}")
    assert {b"Host: localhost", b"Content-Length: 2", b"Content-Type: application/json"} <= set(headers)


def test_a_request_without_a_body_says_nothing_of_one(daemon: Daemon) -> None:
    daemon.says(HEAD + b"Content-Length: 0\r\n\r\n")
    with daemon.asked("DELETE", "/v1/sessions/a"):
        assert b"Content" not in daemon.ours.recv(1 << 16)


def test_lines_come_whole_however_they_are_cut_into_chunks(daemon: Daemon) -> None:
    daemon.says(CHUNKED + b"5;of=old\r\n{1}\n{\r\nA\r\n2}\n{3}\n{4}\r\n0\r\n\r\n")
    with daemon.asked() as answer:
        assert [answer.readline() for _ in range(5)] == [b"{1}\n", b"{2}\n", b"{3}\n", b"{4}", b""]


def test_a_line_is_there_before_the_next_one_comes(daemon: Daemon) -> None:
    daemon.ours.sendall(CHUNKED + b"4\r\n{1}\n\r\n")
    with daemon.asked() as answer:
        assert answer.readline() == b"{1}\n"
        daemon.says(b"3\r\n{2}\r\n0\r\n\r\n")
        assert answer.read() == b"{2}"


def test_a_body_of_known_length_ends_there(daemon: Daemon) -> None:
    daemon.says(b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nabcd")
    with daemon.asked() as answer:
        assert (answer.status, answer.is_refusal, answer.read()) == (404, True, b"abc")


def test_a_body_of_no_known_length_ends_when_the_daemon_hangs_up(daemon: Daemon) -> None:
    daemon.says(b"HTTP/1.0 200 OK\n\nabc\nd")
    with daemon.asked() as answer:
        assert (answer.readline(), answer.read()) == (b"abc\n", b"d")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"a%d: b\r\n" % number for number in range(1000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * (1 << 15) + b"\r\n\r\n",
        HEAD + b"Content-Length: 9\r\n\r\nabc",
        HEAD + b"Content-Length: -1\r\n\r\nabc",
        HEAD + b"Content-Length: many\r\n\r\nabc",
        CHUNKED + b"4\r\n{1}",
        CHUNKED + b"4\r\n{1}\n\r\n",
        CHUNKED + b"g\r\n",
    ],
)
def test_what_breaks_off_or_is_no_http_is_no_answer(daemon: Daemon, said: bytes) -> None:
    daemon.says(said)
    with pytest.raises(AnswerBroken), daemon.asked() as answer:
        answer.read()
