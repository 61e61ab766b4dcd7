"""How a database of conversations is opened: of the first version, of a newer one, by several, while one is locked."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from daemon.first_version import fill_first_version, open_first_version
from said import say

from daemon import first_version
from erllama_daemon.errors import SessionsTooNew, SessionsUnusable
from erllama_daemon.messages import Message
from erllama_daemon.sessions.chats import read_chats
from erllama_daemon.sessions.schema import VERSION, open_database, open_to_read, version_of
from erllama_daemon.sessions.store import Sessions

SESSIONS, TURNS = 4, 6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.sqlite3"


@pytest.fixture
def old(path: Path) -> Path:
    fill_first_version(path, sessions=SESSIONS, turns=TURNS)
    return path


def test_a_database_of_the_first_version_keeps_every_turn_key_token_and_question(old: Path) -> None:
    sessions = Sessions(old)
    assert sessions.notice() is None
    for one in range(SESSIONS):
        session = f"{one:08x}"
        shown = sessions.get(session)
        assert (shown.model, shown.title, shown.name) == (f"model {one}", f"title {one}", None)
        assert (shown.created, shown.updated) == (10.0 + one, 20.0 + one)
        assert (shown.unanswered and shown.unanswered.text) == (f"unanswered {one}" if one % 2 else None)
        turns = sessions.turns(session)
        assert [turn.name for turn in turns] == [str(number) for number in range(1, TURNS + 1)]
        assert all(turn.current for turn in turns)
        for number, turn in enumerate(turns, 1):
            history = sessions.history(session, turn.id)
            assert history is not None
            assert turn.messages == first_version.said(one, number)
            assert history.tokens == first_version.tokens(one, number)
            assert history.finish_key == first_version.key(one, number)
            assert history.fingerprint == f"{one:064x}"
    sessions.close()


def test_an_empty_database_of_the_first_version_becomes_one_of_this(path: Path) -> None:
    open_first_version(path).close()
    sessions = Sessions(path)
    assert sessions.get(sessions.create("demo").id).turns == 0
    sessions.close()


def test_a_migrated_database_has_the_tables_that_a_new_one_has(old: Path, tmp_path: Path) -> None:
    def schema(path: Path) -> set[tuple[str, ...]]:
        with closing(open_database(path)) as database:
            return set(database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))

    assert schema(old) == schema(tmp_path / "new.sqlite3")


def test_chats_of_the_first_version_are_read_beside_the_daemon(old: Path) -> None:
    chats = read_chats(old)
    assert [chat.id for chat in chats] == [f"{one:08x}" for one in reversed(range(SESSIONS))]
    assert [chat.keys for chat in reversed(chats)] == [
        [first_version.key(one, number) for number in range(1, TURNS + 1)] for one in range(SESSIONS)
    ]


def test_two_processes_that_open_at_once_migrate_once(old: Path) -> None:
    script = "import sys; from pathlib import Path; from erllama_daemon.sessions.schema import open_database\n"
    script += "sys.stdin.read(); open_database(Path(sys.argv[1])).close()"
    opening = [
        subprocess.Popen([sys.executable, "-c", script, str(old)], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in opening:
        assert process.stdin is not None
        process.stdin.close()
    for process in opening:
        with process:
            assert process.stderr is not None
            assert process.stderr.read() == b""
        assert process.returncode == 0
    with closing(sqlite3.connect(old)) as database:
        assert version_of(database) == VERSION
        assert database.execute("SELECT count(*) FROM turns").fetchone() == (SESSIONS * TURNS,)


def test_threads_that_make_a_database_at_once_make_one(path: Path) -> None:
    start, failures = threading.Barrier(8), []

    def run() -> None:
        start.wait()
        try:
            open_database(path).close()
        except SessionsUnusable as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_one_of_a_newer_version_is_left_as_it_is(path: Path, journal: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA journal_mode={journal}")
        database.execute("CREATE TABLE moods (mood TEXT)")
        database.execute(f"PRAGMA user_version={VERSION + 1}")
    data = path.read_bytes()
    for unable in (Sessions, open_database, open_to_read):
        with pytest.raises(SessionsTooNew, match=f"format {VERSION + 1}"):
            unable(path)
        assert path.read_bytes() == data


def test_a_database_that_is_locked_is_named_after_a_while(path: Path) -> None:
    sessions = Sessions(path, busy_timeout_s=0.01)
    session = sessions.create("demo").id
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SessionsUnusable, match="database is locked") as raised:
            sessions.ask(session, [Message("user", ["Hello?"])])
        assert "Another program" in (raised.value.hint or "")
        assert sessions.get(session).unanswered is None  # reading goes on
        other.execute("ROLLBACK")
    sessions.ask(session, [Message("user", ["Hello?"])])
    sessions.close()


def test_a_locked_database_of_the_first_version_is_named_and_not_rescued(old: Path) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SessionsUnusable, match="database is locked"):
            Sessions(old, busy_timeout_s=0.01)
        other.execute("ROLLBACK")
    sessions = Sessions(old)
    assert (len(sessions.summaries()), sessions.notice()) == (SESSIONS, None)
    sessions.close()


def test_a_database_of_whose_folder_nothing_can_be_written_is_named_and_not_rescued(path: Path) -> None:
    path.mkdir()
    with pytest.raises(SessionsUnusable, match="unable to open"):
        Sessions(path)
    assert list(path.parent.iterdir()) == [path]


def test_a_turn_that_outlives_its_conversation_is_no_damage(path: Path) -> None:
    sessions = Sessions(path)
    session = sessions.create("demo").id
    said = [Message("user", ["Hello?"]), Message("assistant", ["Hi."])]
    say(sessions, session, said, b"\1\0\0\0", b"k" * 32)
    fork = sessions.fork(session, name="a fork").id
    sessions.change(fork, name="another name")
    sessions.delete(session)
    sessions.close()
    again = Sessions(path)
    assert (again.get(fork).messages, again.notice()) == (said, None)
    again.close()
