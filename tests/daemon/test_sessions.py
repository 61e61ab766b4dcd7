from __future__ import annotations

import hashlib
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from said import say

from erllama_cache.keys import pack_tokens
from erllama_daemon.errors import (
    NoSession,
    RequestInvalid,
    SessionAmbiguous,
    SessionMoved,
    SessionNameTaken,
    SessionsUnusable,
    SessionUnknown,
    TurnUnknown,
)
from erllama_daemon.messages import Message, Session
from erllama_daemon.sessions.store import PRIVATE, Sessions
from erllama_daemon.sessions.turn import Turn

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


def test_a_conversation_is_called_after_the_first_question_of_the_way_it_goes(sessions: Sessions) -> None:
    session = chat_of(sessions, "Why llamas?", "And rivers?").id
    sessions.ask(session, [Message("user", ["And lakes?"])])
    assert sessions.get(session).title == "Why llamas?"
    sessions.go_to(session, "0")
    sessions.ask(session, [Message("user", ["Why alpacas?"])])
    assert sessions.get(session).title == "Why alpacas?"
    assert sessions.go_to(session, "2").title == "Why llamas?"
    sessions.ask(session, [Message("user", ["Why vicunas?"])], after=0)
    assert sessions.get(session).title == "Why vicunas?"
    assert sessions.fork(session, turn="1").title == "Why llamas?"


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
    for still_there in (
        lambda: sessions.get(session.id),
        lambda: sessions.history(session.id),
        lambda: sessions.history(session.id, 1),
        lambda: sessions.check_seen(session.id, 1),
        lambda: sessions.ask(session.id, [Message("user", ["Still there?"])]),
    ):
        with pytest.raises(SessionUnknown):
            still_there()
    assert sessions.get(other.id).id == other.id


def chat_of(sessions: Sessions, *questions: str, name: str | None = None) -> Session:
    """A conversation of which each turn adds a token."""
    session = sessions.create("demo", name)
    for number, question in enumerate(questions, 1):
        sessions.ask(session.id, [Message("user", [question])])
        add(sessions, session.id, question, f"{question}!", list(range(number)), key_of(question))
    return sessions.get(session.id)


def key_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def add_after(sessions: Sessions, session: str, after: int, question: str, tokens: list[int]) -> int:
    said = [Message("user", [question]), Message("assistant", [f"{question}!"])]
    turn = Turn(
        after=after or None,
        messages=said,
        tokens=pack_tokens(tokens),
        finish_key=key_of(question),
        fingerprint="f",
    )
    return sessions.add_turn(session, turn)


def said_in(session: Session) -> list[str]:
    return [message.text for message in session.messages if message.role == "user"]


def names(sessions: Sessions, session: str) -> dict[str, str]:
    """Each turn's name, and what was asked in it; a star on those that the conversation leads over."""
    return {turn.name: turn.messages[0].text + "*" * turn.current for turn in sessions.turns(session)}


def test_a_fork_shares_the_turns_and_both_go_on_alone(sessions: Sessions, path: Path) -> None:
    origin = chat_of(sessions, "a", "b")
    fork = sessions.fork(origin.id, name="other way")
    assert (fork.name, fork.model, fork.title, fork.turn) == ("other way", "demo", origin.title, origin.turn)
    assert fork.id != origin.id
    add(sessions, fork.id, "c", "c!", [0, 1, 2, 3])
    add(sessions, origin.id, "d", "d!", [0, 1, 9])
    assert said_in(sessions.get(fork.id)) == ["a", "b", "c"]
    assert said_in(sessions.get(origin.id)) == ["a", "b", "d"]
    assert names(sessions, fork.id) == {"1": "a*", "2": "b*", "3": "c*"}
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM turns").fetchone() == (4,)


def test_a_fork_can_begin_at_any_turn_and_at_the_beginning(sessions: Sessions) -> None:
    origin = chat_of(sessions, "a", "b", "c")
    assert said_in(sessions.fork(origin.id, turn="2")) == ["a", "b"]
    assert said_in(sessions.fork(origin.id, turn="0")) == []
    with pytest.raises(TurnUnknown, match="no turn 7"):
        sessions.fork(origin.id, turn="7")
    assert len(sessions.summaries()) == 3


def test_going_back_loses_nothing_and_can_be_undone(sessions: Sessions) -> None:
    session = chat_of(sessions, "a", "b", "c")
    assert said_in(sessions.go_to(session.id, "1")) == ["a"]
    assert names(sessions, session.id) == {"1": "a*", "2": "b", "3": "c"}
    assert said_in(sessions.go_to(session.id, "3")) == ["a", "b", "c"]
    beginning = sessions.go_to(session.id, "0")
    assert (beginning.turn, beginning.turns, beginning.tokens, beginning.finish_key) == (None, 0, 0, None)
    assert sessions.history(session.id) is None
    assert said_in(sessions.go_to(session.id, "2")) == ["a", "b"]


@pytest.mark.parametrize("name", ["4", "-1", "", "2.1", "one", "1 ", "🦙"])
def test_a_turn_that_is_not_there_is_named_and_nothing_moves(sessions: Sessions, name: str) -> None:
    session = chat_of(sessions, "a", "b", "c")
    with pytest.raises(TurnUnknown) as raised:
        sessions.go_to(session.id, name)
    assert name in str(raised.value)
    assert sessions.get(session.id).turn == session.turn


def test_going_back_takes_the_unanswered_question_away(sessions: Sessions) -> None:
    session = chat_of(sessions, "a")
    sessions.ask(session.id, [Message("user", ["lost?"])])
    assert sessions.go_to(session.id, "1").unanswered is None


def test_a_question_that_went_back_is_kept_with_where_it_did(sessions: Sessions) -> None:
    session = chat_of(sessions, "a", "b")
    first, second = sessions.turns(session.id)
    question = [Message("user", ["b again"])]
    for after in (first.id, 0, None):
        sessions.ask(session.id, question, after)
        asked = sessions.get(session.id)
        assert (asked.unanswered, asked.asked_after, asked.turn) == (question[0], after, second.id)
    sessions.ask(session.id, question, 0)
    add_after(sessions, session.id, 0, "b again", [7])
    assert sessions.get(session.id).asked_after is None
    sessions.ask(session.id, question, 0)
    assert sessions.go_to(session.id, "1").asked_after is None


def test_a_lost_system_prompt_goes_with_the_question_that_is_asked_in_its_place(sessions: Sessions) -> None:
    session = chat_of(sessions, "a", "b")
    first, second = sessions.turns(session.id)
    system, question, other = Message("system", ["Be brief."]), Message("user", ["b?"]), Message("user", ["c?"])
    sessions.ask(session.id, [system, question], first.id)
    for given, after, whole in (
        (question, first.id, [system, question]),
        (other, first.id, [other]),
        (question, None, [question]),
        (question, second.id, [question]),
        (question, 0, [question]),
    ):
        assert sessions.with_lost_system_prompt(session.id, [given], after) == whole
    sessions.ask(session.id, [system, question], 0)
    assert sessions.with_lost_system_prompt(session.id, [other], 0) == [system, other]
    assert sessions.with_lost_system_prompt(session.id, [other], None) == [other]
    pirate = [Message("system", ["Yarr."]), other]
    assert sessions.with_lost_system_prompt(session.id, pirate, 0) == pirate


def test_turns_with_the_same_number_have_two_names_and_the_number_alone_is_the_current_one(sessions: Sessions) -> None:
    session = chat_of(sessions, "a", "b", "c")
    second = sessions.turns(session.id)[1]
    add_after(sessions, session.id, second.id, "c again", [0, 1, 5])
    assert names(sessions, session.id) == {"1": "a*", "2": "b*", "3.1": "c", "3.2": "c again*"}
    add(sessions, session.id, "d", "d!", [0, 1, 5, 6])
    assert names(sessions, session.id) == {"1": "a*", "2": "b*", "3.1": "c", "3.2": "c again*", "4": "d*"}
    assert said_in(sessions.go_to(session.id, "3")) == ["a", "b", "c again"]
    assert said_in(sessions.go_to(session.id, "3.1")) == ["a", "b", "c"]
    assert said_in(sessions.go_to(session.id, "3")) == ["a", "b", "c"]
    assert said_in(sessions.go_to(session.id, "1")) == ["a"]
    assert said_in(sessions.go_to(session.id, "3")) == ["a", "b", "c again"]  # the latest, if it leads over neither


def test_two_first_turns_are_siblings_too(sessions: Sessions) -> None:
    session = chat_of(sessions, "a")
    add_after(sessions, session.id, 0, "other a", [7])
    assert names(sessions, session.id) == {"1.1": "a", "1.2": "other a*"}
    history = sessions.history(session.id)
    assert history is not None
    assert history.tokens == pack_tokens([7])


def test_a_branch_has_its_own_tokens_up_from_where_it_leaves(sessions: Sessions) -> None:
    session = chat_of(sessions, "a", "b", "c")
    first, _second, third = sessions.turns(session.id)
    add_after(sessions, session.id, first.id, "b again", [0, 8, 8, 8])
    add(sessions, session.id, "c again", "!", [0, 8, 8, 8, 9])
    for after, tokens in ((None, [0, 8, 8, 8, 9]), (third.id, [0, 1, 2]), (first.id, [0])):
        history = sessions.history(session.id, after)
        assert history is not None
        assert history.tokens == pack_tokens(tokens)
    assert sessions.history(session.id, 0) is None


def test_a_turn_of_another_conversation_is_none_of_this_one(sessions: Sessions) -> None:
    session, other = chat_of(sessions, "a"), chat_of(sessions, "b")
    for after in (other.turn, 999, -1, 1 << 62):
        with pytest.raises(TurnUnknown):
            sessions.history(session.id, after)


def test_a_fork_knows_the_shared_turns_that_it_has_gone_back_from(sessions: Sessions) -> None:
    origin = chat_of(sessions, "a", "b", "c")
    fork = sessions.fork(origin.id)
    sessions.go_to(fork.id, "1")
    assert names(sessions, fork.id) == {"1": "a*", "2": "b", "3": "c"}
    sessions.delete(origin.id)
    sessions.delete(chat_of(sessions, "another").id)
    assert names(sessions, fork.id) == {"1": "a*", "2": "b", "3": "c"}
    assert said_in(sessions.go_to(fork.id, "3")) == ["a", "b", "c"]
    (chat,) = sessions.chats()
    assert (chat.keys, chat.left_keys) == ([*map(key_of, "abc")], [])
    sessions.go_to(fork.id, "1")
    (chat,) = sessions.chats()
    assert (chat.keys, chat.left_keys) == ([key_of("a")], [key_of("b"), key_of("c")])


def test_deleting_keeps_the_turns_that_a_fork_shares(sessions: Sessions, path: Path) -> None:
    origin = chat_of(sessions, "a", "b", "c")
    fork = sessions.fork(origin.id, turn="2")
    add(sessions, fork.id, "d", "d!", [0, 1, 4])
    assert sessions.delete(origin.id) == 1
    assert said_in(sessions.get(fork.id)) == ["a", "b", "d"]
    assert sessions.delete(fork.id) == 3
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM turns").fetchone() == (0,)


def test_deleting_a_fork_leaves_its_origin_as_it_was(sessions: Sessions) -> None:
    origin = chat_of(sessions, "a", "b")
    fork = sessions.fork(origin.id)
    add(sessions, fork.id, "c", "c!", [0, 1, 4])
    assert sessions.delete(fork.id) == 1
    assert sessions.get(origin.id) == origin


def test_deleting_takes_the_turns_that_were_gone_back_from(sessions: Sessions, path: Path) -> None:
    session = chat_of(sessions, "a", "b", "c")
    sessions.go_to(session.id, "1")
    assert sessions.delete(session.id) == 3
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM turns").fetchone() == (0,)


def test_what_the_model_was_shown_is_what_the_next_turn_extends(sessions: Sessions) -> None:
    session = chat_of(sessions, "a", "b")
    view = [Message("user", ["Summarize."]), Message("assistant", ["a, b"]), Message("user", ["c"])]
    turn = Turn(
        after=session.turn,
        messages=[Message("user", ["c"]), Message("assistant", ["c!"])],
        tokens=pack_tokens([5, 6]),
        finish_key=KEY,
        fingerprint="f",
        view=view,
    )
    sessions.add_turn(session.id, turn)
    add(sessions, session.id, "d", "d!", [5, 6, 7])
    history = sessions.history(session.id)
    assert history is not None
    assert [message.text for message in history.messages] == ["Summarize.", "a, b", "c", "c!", "d", "d!"]
    assert history.tokens == pack_tokens([5, 6, 7])
    assert said_in(sessions.get(session.id)) == ["a", "b", "c", "d"]


NAMES = [
    "build",
    'it\'s a "build"',
    "a: b",
    "🦙 llama 👩‍🚀 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "two  spaces",
    "latest",
    "find",
    "a/b",
    "%",
    "..",
    "?x=1#y",
    "-h",
    "Ünï",
    "0",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_that_can_be_seen_is_a_name(sessions: Sessions, name: str) -> None:
    session = sessions.create("demo", name)
    assert sessions.find(name) == session
    with pytest.raises(SessionNameTaken, match=session.id):
        sessions.create("demo", name)
    other = sessions.create("demo")
    with pytest.raises(SessionNameTaken):
        sessions.change(other.id, name=name)
    assert sessions.get(other.id).name is None
    with pytest.raises(SessionNameTaken):
        sessions.fork(other.id, name=name)
    assert sessions.change(session.id, name=name).name == name
    assert sessions.change(session.id, name="").name is None
    assert sessions.change(other.id, name=name).called == name


@pytest.mark.parametrize(
    "name", ["", " ", "\n", "a\nb", "a\tb", "\x1b[31mred", "x" * 201, "a\u202eb", "a\u2028b", "\x7f"]
)
def test_a_name_that_cannot_be_seen_is_refused(sessions: Sessions, name: str) -> None:
    session = sessions.create("demo")
    with pytest.raises(RequestInvalid):
        sessions.create("demo", name)
    with pytest.raises(RequestInvalid):
        sessions.fork(session.id, name=name)
    if name:
        with pytest.raises(RequestInvalid):
            sessions.change(session.id, name=name)
    assert sessions.get(session.id) == session


def test_an_id_is_no_name_for_another_conversation(sessions: Sessions) -> None:
    session = sessions.create("demo")
    with pytest.raises(SessionNameTaken):
        sessions.create("demo", session.id)


def test_a_name_goes_before_the_beginning_of_an_id(sessions: Sessions) -> None:
    session = sessions.create("demo")
    named = sessions.create("demo", session.id[:3])
    assert sessions.find(session.id[:3]).id == named.id
    assert sessions.find(session.id[:4]).id == session.id


def test_the_beginning_of_several_ids_is_ambiguous(sessions: Sessions) -> None:
    with patch("erllama_daemon.sessions.store.secrets.token_hex", side_effect=["abc1", "abd2"]):
        sessions.create("demo")
        sessions.create("demo")
    with pytest.raises(SessionAmbiguous, match="2 conversations"):
        sessions.find("ab")


def test_near_names_titles_and_ids_are_suggested(sessions: Sessions) -> None:
    named, titled = sessions.create("demo", "Llamas: a study"), chat_of(sessions, "Why do rivers bend?")
    for wrong, right in (
        ("llamas a study", "'Llamas: a study'"),
        ("why do rivers bend", f"{titled.id} (Why do rivers bend?)"),
        (named.id[:-1] + "x", named.id),
    ):
        with pytest.raises(SessionUnknown) as raised:
            sessions.find(wrong)
        assert right in (raised.value.hint or "")
    with pytest.raises(SessionUnknown) as raised:
        sessions.find("something else altogether")
    assert "Did you mean" not in (raised.value.hint or "")


def test_the_list_has_what_was_used_last_first_and_counts_turns_and_tokens(sessions: Sessions) -> None:
    first = chat_of(sessions, "a", "b", name="one")
    second = chat_of(sessions, "c")
    sessions.create("demo", "nothing was said here")
    rows = sessions.summaries()
    assert [(row.id, row.name, row.title, row.turns, row.tokens) for row in rows] == [
        (second.id, None, "c", 1, 1),
        (first.id, "one", "a", 2, 2),
    ]
    assert [row.called for row in rows] == ["c", "one"]
    assert rows[0].finish_key == key_of("c").hex()
    assert {row.found for row in rows} == {None}


def test_a_text_is_looked_for_in_names_titles_and_messages_whatever_its_case(sessions: Sessions) -> None:
    session = chat_of(sessions, "Why do llamas hum?", "And\n  in 100% of cases: rivers?", name="Straße 🦙")
    chat_of(sessions, "Something else")
    for text, found in (
        ("LLAMAS", "Why do llamas hum?"),
        ("100%", "And in 100% of cases: rivers?"),
        ("strasse", "Straße 🦙"),
        ("rivers?!", "And in 100% of cases: rivers?!"),
    ):
        assert [(row.id, row.found) for row in sessions.summaries(text)] == [(session.id, found)]
    assert sessions.summaries("%%") == sessions.summaries("camel") == []


def test_what_was_found_in_a_long_text_is_shown_with_what_is_around_it(sessions: Sessions) -> None:
    chat_of(sessions, "x" * 500 + " needle " + "y" * 500)
    (row,) = sessions.summaries("needle")
    assert row.found is not None
    assert "x needle y" in row.found
    assert len(row.found) <= 80


def test_who_knows_of_an_earlier_turn_is_told_how_many_came_since(sessions: Sessions) -> None:
    session = chat_of(sessions, "a", "b", "c")
    first, _second, third = sessions.turns(session.id)
    for seen in (None, third.id):
        sessions.check_seen(session.id, seen)
    for seen, more in (
        (first.id, "2 turns more"),
        (0, "3 turns more"),
        (1 << 70, "3 turns more"),
        (-1, "3 turns more"),
    ):
        with pytest.raises(SessionMoved, match=more):
            sessions.check_seen(session.id, seen)
    sessions.go_to(session.id, "1")
    with pytest.raises(SessionMoved, match="taken back"):
        sessions.check_seen(session.id, third.id)
    sessions.go_to(session.id, "0")
    sessions.check_seen(session.id, 0)


def test_an_answer_is_found_by_its_key(sessions: Sessions) -> None:
    chat_of(sessions, "a", "b")
    (turn,) = sessions.way_of_key(key_of("a"))
    assert [message.text for message in turn.messages] == ["a", "a!"]
    assert sessions.way_of_key(b"?" * 32) == []


def test_nothing_that_was_said_in_a_deleted_session_is_left_in_a_file(sessions: Sessions, tmp_path: Path) -> None:
    session = sessions.create("demo", "Zanzibar")
    sessions.ask(session.id, [Message("user", ["Where are the wombats?"])])
    add(sessions, session.id, "Where are the wombats?", "In the cellar.", [1, 2, 3])
    sessions.ask(session.id, [Message("user", ["What, in the attic?"])])

    def holders() -> list[str]:
        words = (b"wombats", b"cellar", b"attic", b"Zanzibar")
        files = (path for path in tmp_path.rglob("*") if path.is_file())
        return [path.name for path in files if any(word in path.read_bytes() for word in words)]

    assert holders()
    assert sessions.delete(session.id) == 1
    assert sessions.delete(session.id) == 0
    assert holders() == []
