from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon
from conftest import Erllama

from erllama_cli.daemon.log_file import LogFile
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from erllama_daemon.messages import DaemonStatus, StartedBy


@pytest.fixture
def log() -> Path:
    path = user_directories().daemon_log
    path.parent.mkdir(parents=True)
    return path


def numbered(first: int, last: int) -> str:
    return "".join(f"line {number}\n" for number in range(first, last + 1))


def test_the_last_twenty_lines_are_printed_or_as_many_as_asked_for(run: Run, log: Path) -> None:
    log.write_text(numbered(1, 40))
    assert run("daemon", "logs").stdout == numbered(21, 40)
    assert run("daemon", "logs", "-n", "2").stdout == numbered(39, 40)
    assert run("daemon", "logs", "-n", "0").stdout == ""


def test_a_short_log_goes_on_in_those_put_aside(run: Run, log: Path) -> None:
    log.with_name("daemon.log.2").write_text(numbered(1, 4))
    log.with_name("daemon.log.1").write_text(numbered(5, 6))
    log.write_text(numbered(7, 8))
    done = run("daemon", "logs", "-n", "5", "--json")
    assert msgspec.json.decode(done.stdout) == {"path": str(log), "lines": numbered(4, 8).splitlines()}


def test_lines_longer_than_what_is_read_at_once_are_whole(run: Run, log: Path) -> None:
    long = "ä" * 100_000
    log.write_text(f"before\n{long}\nafter\n")
    assert run("daemon", "logs", "-n", "2").stdout == f"{long}\nafter\n"


def test_without_a_log_it_says_what_begins_one(run: Run) -> None:
    done = run("daemon", "logs")
    assert done.exit_code == EXIT_FAILED
    assert "erllama daemon start" in done.stderr


def test_a_log_that_never_ends_is_no_object(run: Run) -> None:
    assert run("daemon", "logs", "-f", "--json").exit_code == EXIT_USAGE


@pytest.mark.parametrize(
    ("by", "told"), [("systemd", "journalctl --user -u erllama"), ("foreground", "where it was started")]
)
def test_a_daemon_that_logs_elsewhere_is_not_looked_for_here(
    run: Run, fake: FakeDaemon, log: Path, by: StartedBy, told: str
) -> None:
    log.write_text("of an earlier one\n")
    fake.status = DaemonStatus(running=True, socket=str(fake.socket), pid=7, version="0", started_by=by)
    done = run("daemon", "logs")
    assert (done.exit_code, done.stdout) == (EXIT_FAILED, "")
    assert told in done.stderr


def test_the_log_of_another_daemon_is_where_that_is(run: Run, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_text("of the one here\n")
    monkeypatch.setenv("ERLLAMA_SOCKET", "/tmp/elsewhere.sock")
    done = run("daemon", "logs")
    assert (done.exit_code, done.stdout) == (EXIT_FAILED, "")


class Following:
    """What a reader that follows a log has read; between two looks at it, something is done to the log."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._file = LogFile(log)
        self._file.open()
        self._file.last_lines(20)
        self._seen = b""
        self._news: Iterator[bytes] = self._file.new_bytes(self._pause)
        self._paused = False

    def read(self) -> str:
        """What came since, up to the next pause."""
        seen = b""
        self._paused = False
        while True:
            try:
                seen += next(self._news)
            except _Paused:
                # A generator that raised is over; the log is still open where it was.
                self._news = self._file.new_bytes(self._pause)
                return seen.decode()

    def _pause(self) -> None:
        raise _Paused

    def close(self) -> None:
        self._file.close()


class _Paused(Exception):
    pass


@pytest.fixture
def following(log: Path) -> Iterator[Following]:
    log.write_text("old\n")
    opened = Following(log)
    yield opened
    opened.close()


def append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_what_comes_is_followed(following: Following, log: Path) -> None:
    assert following.read() == ""
    append(log, "a\n")
    assert following.read() == "a\n"
    append(log, "b\nc\n")
    assert following.read() == "b\nc\n"


def test_a_log_that_is_put_aside_is_followed_into_the_next_and_nothing_is_lost(following: Following, log: Path) -> None:
    append(log, "the last of it\n")
    log.rename(log.with_name("daemon.log.1"))
    log.write_text("the first of the next\n")
    assert following.read() == "the last of it\nthe first of the next\n"


def test_a_log_that_is_put_aside_twice_between_two_looks_is_read_in_order(following: Following, log: Path) -> None:
    first, second = log.with_name("daemon.log.1"), log.with_name("daemon.log.2")
    append(log, "1\n")
    log.rename(first)
    log.write_text("2\n")
    first.rename(second)
    log.rename(first)
    log.write_text("3\n")
    assert following.read() == "1\n2\n3\n"
    append(log, "4\n")
    assert following.read() == "4\n"


def test_a_log_that_is_cut_off_is_read_from_its_new_beginning(following: Following, log: Path) -> None:
    log.write_text("a\n")
    assert following.read() == "a\n"


def test_a_log_that_is_removed_is_awaited(following: Following, log: Path) -> None:
    append(log, "a\n")
    log.unlink()
    assert following.read() == "a\n"
    assert following.read() == ""
    log.write_text("b\n")
    assert following.read() == "b\n"


def test_a_log_that_is_not_there_yet_is_awaited() -> None:
    path = user_directories().daemon_log
    following = Following(path)
    assert following.read() == ""
    path.parent.mkdir(parents=True)
    path.write_text("a\n")
    assert following.read() == "a\n"
    following.close()


def test_ctrl_c_ends_it_quietly(erllama: Erllama, log: Path) -> None:
    log.write_text("old\n")
    process = erllama.start("daemon", "logs", "-f")
    assert process.stdout is not None
    assert process.stdout.readline() == b"old\n"
    append(log, "new\n")
    assert process.stdout.readline() == b"new\n"
    process.send_signal(signal.SIGINT)
    rest, told = process.communicate(timeout=30)
    assert (process.returncode, rest, told) == (EXIT_INTERRUPTED, b"", b"")


def test_a_daemon_says_itself_where_its_log_is(run: Run, fake: FakeDaemon, log: Path, user_home: Path) -> None:
    log.write_text("of an earlier one\n")
    own = user_home / "own.log"
    own.write_text("its own\n")
    fake.status = DaemonStatus(running=True, socket=str(fake.socket), pid=7, started_by="command", log=str(own))
    assert run("daemon", "logs").stdout == "its own\n"
