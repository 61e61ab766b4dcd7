"""A disk that fills in the middle of a turn: no turn that was shown is lost, and nothing is asked without room."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from erllama_cache.keys import pack_tokens
from erllama_daemon.errors import DiskFull, TurnUnwritten
from erllama_daemon.messages import Message
from erllama_daemon.sessions.ballast import BALLAST_BYTES, Ballast
from erllama_daemon.sessions.store import Sessions
from erllama_daemon.sessions.turn import Turn


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.sqlite3"


@pytest.fixture
def sessions(path: Path) -> Iterator[Sessions]:
    opened = Sessions(path)
    yield opened
    opened.close()


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """As on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def full(sessions: Sessions) -> Iterator[None]:
    """The database takes no page more."""
    (pages,) = sessions._database.connection.execute("PRAGMA page_count").fetchone()
    sessions._database.connection.execute(f"PRAGMA max_page_count={pages}")
    try:
        yield
    finally:
        sessions._database.connection.execute("PRAGMA max_page_count=4294967294")


def turn(sessions: Sessions, session: str, text: str) -> Turn:
    return Turn(
        after=sessions.get(session).turn,
        messages=[Message("user", [text]), Message("assistant", ["." * 20_000])],
        tokens=pack_tokens(range(3000)),
        finish_key=text.encode().ljust(32, b"-"),
        fingerprint="f",
    )


def questions(path: Path, session: str) -> list[str]:
    sessions = Sessions(path)
    said = [message.text for message in sessions.get(session).messages if message.role == "user"]
    sessions.close()
    return said


def test_room_for_an_answer_is_taken_before_it_is_asked(sessions: Sessions, path: Path) -> None:
    session = sessions.create("demo").id
    sessions.ask(session, [Message("user", ["Hello?"])])
    taken = path.with_name("sessions.ballast").stat()
    assert (taken.st_size, stat.S_IMODE(taken.st_mode)) == (BALLAST_BYTES, 0o600)
    assert taken.st_blocks * 512 >= BALLAST_BYTES


def test_without_room_nothing_is_asked_and_nothing_is_left_behind(sessions: Sessions, path: Path) -> None:
    session = sessions.create("demo").id
    with no_file_beyond(BALLAST_BYTES // 2), pytest.raises(DiskFull, match="nothing was asked"):
        sessions.ask(session, [Message("user", ["Hello?"])])
    assert sessions.get(session).unanswered is None
    assert not path.with_name("sessions.ballast").exists()
    sessions.ask(session, [Message("user", ["Hello?"])])
    assert sessions.get(session).unanswered == Message("user", ["Hello?"])


def test_room_can_be_taken_where_the_system_cannot_do_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    ballast = Ballast(tmp_path / "ballast", 100_000)
    ballast.take()
    ballast.take()
    assert len(set(ballast.path.read_bytes())) == 256
    assert ballast.give_back()
    assert not ballast.give_back()


def test_a_turn_that_finds_no_room_is_written_into_that_of_the_ballast(
    sessions: Sessions, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions.create("demo").id
    sessions.ask(session, [Message("user", ["one"])])
    with full(sessions):
        give_back = Ballast.give_back

        def make_room(ballast: Ballast) -> bool:
            sessions._database.connection.execute("PRAGMA max_page_count=4294967294")
            return give_back(ballast)

        monkeypatch.setattr(Ballast, "give_back", make_room)
        number = sessions.add_turn(session, turn(sessions, session, "one"))
    assert sessions.get(session).turn == number
    assert not path.with_name("sessions.ballast").exists()
    sessions.ask(session, [Message("user", ["two"])])
    assert path.with_name("sessions.ballast").exists()


def test_a_turn_that_finds_no_room_at_all_is_written_by_the_first_call_that_can(sessions: Sessions, path: Path) -> None:
    session = sessions.create("demo").id
    sessions.ask(session, [Message("user", ["one"])])
    with full(sessions):
        with pytest.raises(TurnUnwritten, match="full") as raised:
            sessions.add_turn(session, turn(sessions, session, "one"))
        assert raised.value.hint == "Make room on the disk."
        assert sessions.get(session).messages == []
    shown = sessions.get(session)
    assert [message.text[:5] for message in shown.messages] == ["one", "....."]
    assert (shown.unanswered, shown.turns) == (None, 1)
    assert not path.with_name("sessions.unwritten").exists()
    sessions.add_turn(session, turn(sessions, session, "two"))
    assert sessions.get(session).turns == 2


def test_a_turn_that_was_never_written_is_there_after_the_daemon_ended(path: Path) -> None:
    sessions = Sessions(path)
    session = sessions.create("demo").id
    sessions.ask(session, [Message("user", ["one"])])
    sessions._database.connection.execute("PRAGMA max_page_count=1")
    for text in ("one", "two"):
        with pytest.raises(TurnUnwritten):
            sessions.add_turn(session, turn(sessions, session, text))
    sessions.close()
    assert stat.S_IMODE(path.with_name("sessions.unwritten").stat().st_mode) == 0o600
    assert len(questions(path, session)) == 1  # the second followed nothing either
    assert not path.with_name("sessions.unwritten").exists()
    again = Sessions(path)
    assert [shown.messages[0].text for shown in again.turns(session)] == ["one", "two"]
    again.close()


def test_a_turn_that_was_written_before_its_file_went_is_not_written_twice(path: Path) -> None:
    sessions = Sessions(path)
    session = sessions.create("demo").id
    with full(sessions), pytest.raises(TurnUnwritten):
        sessions.add_turn(session, turn(sessions, session, "one"))
    kept = path.with_name("sessions.unwritten")
    content = kept.read_bytes()
    sessions.close()
    assert not kept.exists()
    kept.write_bytes(content)
    assert questions(path, session) == ["one"]
    assert not kept.exists()


def test_a_turn_whose_database_is_damaged_meanwhile_is_in_the_rescued_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = Sessions(path)
    session = sessions.create("demo").id
    sessions.add_turn(session, turn(sessions, session, "one"))
    second = turn(sessions, session, "two")

    def fail(*_arguments: object) -> int:
        raise sqlite3.DatabaseError("damaged")

    with monkeypatch.context() as patch:
        patch.setattr("erllama_daemon.sessions.turn_writer.insert_turn", fail)
        with pytest.raises(TurnUnwritten):
            sessions.add_turn(session, second)
        sessions.close()
    data = bytearray(path.read_bytes())
    data[data.index(b'"one"') + 1] ^= 1
    path.write_bytes(data)
    assert questions(path, session) == ["two"]


def test_what_belongs_to_a_conversation_that_was_deleted_meanwhile_is_let_go(sessions: Sessions, path: Path) -> None:
    session = sessions.create("demo").id
    sessions.ask(session, [Message("user", ["one"])])
    with full(sessions):
        with pytest.raises(TurnUnwritten):
            sessions.add_turn(session, turn(sessions, session, "one"))
        sessions.delete(session)
    assert sessions.summaries() == []
    assert not path.with_name("sessions.unwritten").exists()


def test_a_file_of_unwritten_turns_that_is_no_such_file_costs_nothing_else(path: Path) -> None:
    path.with_name("sessions.unwritten").write_bytes(b"noise")
    sessions = Sessions(path)
    assert sessions.get(sessions.create("demo").id).turns == 0
    sessions.close()
    assert path.with_name("sessions.unwritten.unreadable").read_bytes() == b"noise"
    assert not path.with_name("sessions.unwritten").exists()


def test_a_locked_database_costs_no_turn_either(path: Path) -> None:
    sessions = Sessions(path, busy_timeout_s=0.01)
    session = sessions.create("demo").id
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TurnUnwritten, match="locked"):
            sessions.add_turn(session, turn(sessions, session, "one"))
        other.execute("ROLLBACK")
    assert sessions.get(session).turns == 1
    sessions.close()


def test_private_conversations_take_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    private = Sessions(None)
    session = private.create("demo").id
    private.ask(session, [Message("user", ["one"])])
    with full(private), pytest.raises(TurnUnwritten):
        private.add_turn(session, turn(private, session, "one"))
    assert private.get(session).turns == 1
    private.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_where_no_room_can_be_taken_without_writing_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    sessions = Sessions(tmp_path / "sessions.sqlite3")
    sessions.ask(sessions.create("demo").id, [Message("user", ["one"])])
    sessions.close()
    assert (tmp_path / "sessions.ballast").stat().st_blocks * 512 >= BALLAST_BYTES


def test_no_disk_is_asked_for_room_that_it_cannot_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    sessions = Sessions(tmp_path / "sessions.sqlite3")
    session = sessions.create("demo").id
    with pytest.raises(DiskFull, match="No space left on device") as raised:
        sessions.ask(session, [Message("user", ["one"])])
    assert raised.value.hint is not None
    sessions.close()
