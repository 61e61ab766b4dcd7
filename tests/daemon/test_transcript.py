from pathlib import Path

import msgspec
import pytest
from said import say

from erllama_daemon.errors import SessionsUnusable, SessionUnknown
from erllama_daemon.messages import Message
from erllama_daemon.sessions.chats import read_chats
from erllama_daemon.sessions.store import Sessions
from erllama_daemon.sessions.transcript import Transcript, adopt_transcript, read_transcript

SAID = [Message("user", ["Hello ", "there?"]), Message("assistant", ["Hi."])]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home" / "sessions.sqlite3"


@pytest.fixture
def transcript(home: Path) -> Transcript:
    """Two turns, the second of which rewrote the end of the first, and a question without an answer."""
    sessions = Sessions(home)
    session = sessions.create("demo")
    sessions.ask(session.id, SAID[:1])
    for number, tokens in enumerate((b"\1\0\0\0\2\0\0\0", b"\1\0\0\0\3\0\0\0\4\0\0\0"), start=1):
        say(sessions, session.id, SAID, tokens, bytes([number]) * 32)
    sessions.ask(session.id, SAID[:1])
    sessions.close()
    return read_transcript(home, session.id)


def test_a_conversation_taken_elsewhere_is_the_same_conversation(
    home: Path, tmp_path: Path, transcript: Transcript
) -> None:
    there = tmp_path / "there" / "sessions.sqlite3"
    packed = msgspec.json.encode(transcript)
    assert adopt_transcript(there, msgspec.json.decode(packed, type=Transcript))
    one, other = Sessions(home), Sessions(there)
    assert other.get(transcript.id) == one.get(transcript.id)
    assert other.history(transcript.id) == one.history(transcript.id)
    assert other.unanswered(transcript.id) == SAID[:1]
    assert there.stat().st_mode & 0o777 == 0o600
    assert read_chats(there) == read_chats(home)
    say(other, transcript.id, SAID, b"\1\0\0\0\3\0\0\0\4\0\0\0\5\0\0\0", b"\3" * 32)
    history = other.history(transcript.id)
    assert history is not None
    assert history.messages == SAID * 3
    one.close()
    other.close()


@pytest.mark.parametrize("place", [-1, 0, None])
def test_a_question_is_taken_along_with_the_turn_that_it_follows(
    home: Path, tmp_path: Path, transcript: Transcript, place: int | None
) -> None:
    sessions = Sessions(home)
    turns = [turn.id for turn in sessions.turns(transcript.id)]
    sessions.ask(transcript.id, SAID[:1], None if place is None else 0 if place < 0 else turns[place])
    sessions.close()
    packed = read_transcript(home, transcript.id)
    assert packed.asked_after == place
    there = tmp_path / "there" / "sessions.sqlite3"
    assert adopt_transcript(there, msgspec.json.decode(msgspec.json.encode(packed), type=Transcript))
    assert read_transcript(there, transcript.id).holds_the_same(packed)


def test_a_conversation_that_is_there_is_left_as_it_is(home: Path, transcript: Transcript) -> None:
    sessions = Sessions(home)  # as a daemon that runs
    before = sessions.get(transcript.id)
    stranger = msgspec.structs.replace(transcript, title="another", turns=[], head=None)
    assert not adopt_transcript(home, stranger)
    assert sessions.get(transcript.id) == before
    sessions.close()


def test_half_a_conversation_is_never_there(tmp_path: Path, transcript: Transcript) -> None:
    there = tmp_path / "there" / "sessions.sqlite3"
    broken = msgspec.structs.replace(transcript.turns[1], fingerprint=None)  # which the table refuses
    with pytest.raises(SessionsUnusable):
        adopt_transcript(there, msgspec.structs.replace(transcript, turns=[transcript.turns[0], broken]))
    assert read_chats(there) == []
    assert adopt_transcript(there, transcript)


def test_what_is_not_there_is_named(home: Path, tmp_path: Path, transcript: Transcript) -> None:
    with pytest.raises(SessionUnknown):
        read_transcript(home, transcript.id[:4])
    with pytest.raises(SessionsUnusable):
        read_transcript(tmp_path / "none.sqlite3", transcript.id)
    assert not (tmp_path / "none.sqlite3").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "private-0f3a"),
        ("id", "../0f3a"),
        ("tokens", b"\1\0\0"),
        ("finish_key", b"short"),
        ("first_token", 3),
        ("first_token", -1),
        ("messages", []),
        ("unanswered", []),
        ("asked_after", 2),
        ("asked_after", -2),
    ],
)
def test_a_conversation_that_no_database_holds_is_not_taken_in(
    transcript: Transcript, field: str, value: object
) -> None:
    packed = msgspec.to_builtins(transcript)
    (packed if field in packed else packed["turns"][1])[field] = value
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(packed), type=Transcript)
