from pathlib import Path

import pytest
from said import say

from erllama_daemon.errors import SessionsUnusable, SessionUnknown
from erllama_daemon.messages import Message
from erllama_daemon.sessions.chats import find_chat, read_chats
from erllama_daemon.sessions.store import Sessions


def test_chats_are_read_beside_the_daemon_with_the_keys_of_their_turns(tmp_path: Path) -> None:
    path = tmp_path / "sessions.sqlite3"
    sessions = Sessions(path)
    session = sessions.create("demo")
    sessions.create("demo")  # nothing was said in it
    said = [Message("user", ["Hello?"]), Message("assistant", ["Hi."])]
    sessions.ask(session.id, said[:1])
    for number in (1, 2):
        say(sessions, session.id, said, b"\0" * 4 * number, bytes([number]) * 32)
    (chat,) = read_chats(path)
    assert (chat.id, chat.title, chat.model, chat.turns) == (session.id, "Hello?", "demo", 2)
    assert chat.keys == [b"\1" * 32, b"\2" * 32]
    assert find_chat([chat], session.id[:3]) == chat
    sessions.close()


def test_no_database_means_no_chats_and_none_is_made(tmp_path: Path) -> None:
    assert read_chats(tmp_path / "none.sqlite3") == []
    assert not (tmp_path / "none.sqlite3").exists()


def test_what_cannot_be_read_or_found_is_named(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"noise" * 1000)
    with pytest.raises(SessionsUnusable):
        read_chats(tmp_path / "noise")
    with pytest.raises(SessionUnknown):
        find_chat([], "")
