from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from said import say

from erllama_cache.keys import pack_tokens
from erllama_daemon.errors import NoSession, SessionsUnusable, SessionUnknown
from erllama_daemon.messages import Message
from erllama_daemon.sessions.store import PRIVATE, Sessions

KEY = b"k" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessions.sqlite3"


@pytest.fixture
def sessions(path: Path) -> Iterator[Sessions]:
    opened = Sessions(path)
    yield opened
    opened.close()


def add(sessions: Sessions, session: str, question: str, answer: str, tokens: list[int], key: bytes = KEY) -> int:
    said = [Message("user", [question]), Message("assistant", [answer])]
    return say(sessions, session, said, pack_tokens(tokens), key, "f")


def test_a_turn_is_there_for_the_next_process(sessions: Sessions, path: Path) -> None:
    session = sessions.create("demo")
    add(sessions, session.id, "Hi", "Hello", [1, 2, 3])
    other = Sessions(path)
    history = other.history(session.id)
    other.close()
    assert history is not None
    assert [message.text for message in history.messages] == ["Hi", "Hello"]
    assert (history.tokens, history.finish_key) == (pack_tokens([1, 2, 3]), KEY)


def test_each_token_is_stored_once(sessions: Sessions, path: Path) -> None:
    session = sessions.create("demo")
    tokens: list[int] = []
    for number in range(10):
        tokens += [number] * 20
        add(sessions, session.id, "q", "a", tokens)
    with sqlite3.connect(path) as database:
        (stored,) = database.execute("SELECT sum(length(tokens)) FROM turns").fetchone()
    assert stored == 4 * len(tokens)
    history = sessions.history(session.id)
    assert history is not None
    assert history.tokens == pack_tokens(tokens)


def test_a_chain_that_was_rewritten_replaces_the_tokens_from_where_it_differs(sessions: Sessions) -> None:
    session = sessions.create("demo")
    add(sessions, session.id, "q", "a", [1, 2, 3, 4])
    add(sessions, session.id, "q", "a", [1, 2, 9, 9, 9])
    history = sessions.history(session.id)
    assert history is not None
    assert history.tokens == pack_tokens([1, 2, 9, 9, 9])


def test_a_question_is_kept_until_its_turn_is_written(sessions: Sessions) -> None:
    session = sessions.create("demo")
    sessions.ask(session.id, [Message("user", ["Why do llamas hum?"])])
    asked = sessions.get(session.id)
    assert asked.unanswered is not None
    assert asked.unanswered.text == asked.title == "Why do llamas hum?"
    add(sessions, session.id, "Why do llamas hum?", "They like to.", [1])
    assert sessions.get(session.id).unanswered is None


def test_the_latest_session_is_the_one_that_was_used_last(sessions: Sessions) -> None:
    with pytest.raises(NoSession):
        sessions.latest()
    first, second = sessions.create("demo"), sessions.create("demo")
    sessions.ask(first.id, [Message("user", ["one"])])
    sessions.ask(second.id, [Message("user", ["two"])])
    sessions.ask(first.id, [Message("user", ["three"])])
    sessions.create("demo")
    assert sessions.latest().id == first.id


def test_the_beginning_of_an_id_is_enough_if_only_one_begins_so(sessions: Sessions) -> None:
    session = sessions.create("demo")
    assert sessions.find(session.id[:6]).id == session.id
    for unknown in ("", "zz", "%", session.id + "0"):
        with pytest.raises(SessionUnknown):
            sessions.find(unknown)


@pytest.mark.parametrize("text", ['it\'s "quoted"; DROP TABLE turns --', "two\nlines", "🦙: hum", "x" * 5000])
def test_any_text_survives(sessions: Sessions, text: str) -> None:
    session = sessions.create("demo")
    sessions.ask(session.id, [Message("user", [text])])
    add(sessions, session.id, text, text, [1])
    assert [message.text for message in sessions.get(session.id).messages] == [text, text]


@pytest.mark.usefixtures("sessions")
def test_the_file_is_for_its_owner_only(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_write_that_fails_is_named(sessions: Sessions, path: Path) -> None:
    session = sessions.create("demo")
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE turns")
    with pytest.raises(SessionsUnusable):
        add(sessions, session.id, "q", "a", [1])


def test_private_sessions_are_in_memory_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    private = Sessions(None)
    session = private.create("demo")
    private.ask(session.id, [Message("user", ["Hi"])])
    add(private, session.id, "Hi", "Hello", [1, 2, 3])
    assert private.get(session.id).private
    assert session.id.startswith(PRIVATE)
    assert list(tmp_path.iterdir()) == []
    private.close()


def test_a_deleted_session_is_gone_with_its_turns_and_can_be_asked_no_more(sessions: Sessions) -> None:
    session, other = sessions.create("demo"), sessions.create("demo")
    add(sessions, session.id, "Hi", "Hello", [1, 2, 3])
    sessions.delete(session.id)
    sessions.delete(session.id)
    assert sessions.history(session.id) is None
    with pytest.raises(SessionUnknown):
        sessions.ask(session.id, [Message("user", ["Still there?"])])
    assert sessions.get(other.id).id == other.id
