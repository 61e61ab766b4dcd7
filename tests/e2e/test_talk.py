"""A chat at a real terminal on the real model: every command, and what each of them has read."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from cli.terminal import Screen, Terminal

from erllama_cli.client import Client
from erllama_cli.talk.commands import COMMANDS
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import Session

_FIGURES = re.compile(r"([\d,]+) tokens?, \S+ tok/s; ([\d,]+) of ([\d,]+) prompt tokens? from the cache")
SHORT = 30
"""More tokens than any question here has."""


class Asked(NamedTuple):
    """How many tokens of a prompt were read and how many came from the cache, and the tokens of the whole chain."""

    read: int
    cached: int
    end: int


class Talk:
    """A chat that tells figures. Keeps which commands were sent."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.sent: set[str] = set()

    def send(self, line: str, *awaited: str) -> str:
        if line.startswith("/"):
            self.sent.add(line[1:].split()[0])
        return self.screen.send(line, *awaited)

    def ask(self, line: str) -> Asked:
        return self.figures(self.send(line, " from the cache; "))

    def figures(self, shown: str) -> Asked:
        found = _FIGURES.search(shown)
        assert found is not None, shown
        answered, cached, prompt = (int(count.replace(",", "")) for count in found.groups())
        return Asked(prompt - cached, cached, prompt + answered)


def session() -> Session:
    return Client(user_directories()).latest_session()


@pytest.fixture
def talk(terminals: list[Terminal], user_home: Path, monkeypatch: pytest.MonkeyPatch) -> Talk:
    monkeypatch.chdir(user_home)
    terminals.append(screen := Screen("chat", "demo", "-t", "0", "-n", "12"))
    screen.await_prompt()
    talk = Talk(screen)
    talk.send("/set stats on", "stats: on")
    return talk


def test_going_back_sideways_and_elsewhere_reads_only_what_is_new(talk: Talk) -> None:
    river = talk.ask("Name a river in Peru.")
    lake = talk.ask("And a lake there?")
    assert (lake.cached, lake.read < SHORT) == (river.end, True)

    again = talk.ask("/retry")
    assert (again.read, again.cached) == (0, lake.cached + lake.read)
    talk.send("/undo", "Turn 2.2 is taken back", ">>> Name a river in Peru.")
    town = talk.ask("And a town?")
    assert (town.cached, town.read < SHORT) == (river.end, True)

    talk.send("/goto", "· 1 Name a river", "2.1 And a lake there?", "2.2 And a lake there?", "→ 2.3 And a town?")
    talk.send("/goto 2.1", ">>> And a lake there?")
    deep = talk.ask("How deep is it?")
    assert (deep.cached, deep.read < SHORT) == (lake.end, True)

    talk.screen.clear()
    talk.screen.type("/edit\r")
    talk.screen.await_line(">>> How deep is it?")
    talk.screen.type("\x15How cold is it?\r")
    edited = talk.screen.await_lines(lambda lines: _FIGURES.search(" ".join(lines)) is not None, "an answer")
    cold = talk.figures(" ".join(edited))
    assert (cold.cached, cold.read < SHORT) == (lake.end, True)

    origin = session()
    talk.send("/fork colder", "You are now in 'colder'", f"stays as it is: {origin.id}")
    old = talk.ask("How old is it?")
    assert (old.cached, old.read < SHORT) == (cold.end, True)
    forked = session()
    assert (forked.name, forked.turns, forked.tokens) == ("colder", 4, old.end)
    assert [message.text for message in forked.messages if message.role == "user"] == [
        "Name a river in Peru.",
        "And a lake there?",
        "How cold is it?",
        "How old is it?",
    ]
    assert Client(user_directories()).session(origin.id).turn == origin.turn


def test_every_other_command_does_what_it_says(talk: Talk, user_home: Path) -> None:
    (user_home / "notes.txt").write_text("The llama is called Ada. " * 20)
    talk.send("/help", "/retry", "/exit")
    talk.send("/set", "temperature 0 ", "max-tokens 12 ")
    talk.send("/file notes.txt", "500 B, 1 line.")
    noted = talk.ask("What is the llama called?")
    assert noted.read > 100
    question, reply = session().messages
    assert question.parts == ["The llama is called Ada. " * 20, "\n\nWhat is the llama called?"]

    talk.send("/copy", "clipboard")
    assert f"\x1b]52;c;{base64.b64encode(reply.text.encode()).decode()}\x07" in talk.screen.seen
    talk.send(
        "/stats", "model demo", f"{noted.end:,} of", f"{noted.cached} cached, {noted.read:,} read", "yes, on disk"
    )
    talk.send("/tokens", f"1 {noted.end:,} What is the llama called?", f"Together: {noted.end:,} of")
    talk.send("/tokens Why do llamas hum?", " tokens.")
    talk.send("/thinking", "Nothing was thought")

    talk.send("/save chat.md", "chat.md holds the conversation: 1 turn")
    assert reply.text.strip("\n") in (user_home / "chat.md").read_text()
    talk.send("/save chat.json", "chat.json holds the conversation")
    assert reply.text in json.dumps(json.loads((user_home / "chat.json").read_text()), ensure_ascii=False)
    talk.send("/save chat.md", "There is a file chat.md already.")
    talk.send("/save! chat.md", "holds the conversation")

    talk.send("/adapter", "No adapter is used")
    talk.send("/adapter none.gguf", "there is no such file")
    talk.send("/model", "The model is demo")
    talk.send("/model none.gguf", "There is no model none.gguf.")
    talk.send("/system Answer in capitals.", "The system prompt: Answer in capitals.", "read again")
    told = talk.ask("Who are you?")
    assert told.read > noted.end
    further = talk.ask("And who am I?")
    assert (further.cached, further.read < SHORT) == (told.end, True)
    talk.send("/system", "The system prompt: Answer in capitals.")

    talk.screen.clear()
    talk.screen.type("/set status on\r")
    status = f"demo · {further.end:,} of "
    talk.screen.await_lines(lambda lines: lines[-1].strip().startswith(status), "the status line")
    talk.screen.type("/set status off\r")
    talk.screen.await_lines(lambda lines: lines[-2:] == ["status: off", ">>>"], "no status line")
    talk.send("/nonsense", "There is no command /nonsense.")
    kept = session()
    talk.screen.clear()
    talk.screen.type("/exit\r")
    code, rest = talk.screen.rest()
    assert (code, f"erllama chat --session {kept.id}" in rest) == (0, True)
    assert kept.turns == 3

    elsewhere = {"retry", "undo", "goto", "edit", "fork"}
    assert set(COMMANDS) == talk.sent - {"nonsense"} | elsewhere | {"exit"}


def test_what_ctrl_c_stopped_is_kept_and_gone_on_from(talk: Talk) -> None:
    talk.send("/set max-tokens 4000", "max-tokens: 4000")
    talk.screen.clear()
    talk.screen.type("Tell me a very long story about a llama.\r")
    talk.screen.await_lines(lambda lines: len(" ".join(lines)) > 200, "the beginning of an answer")
    talk.screen.type("\x03")
    talk.screen.await_prompt()
    stopped = session()
    assert stopped.turns == 1
    talk.send("/set max-tokens 12", "max-tokens: 12")
    further = talk.ask("Why?")
    assert (further.cached, further.read < SHORT) == (stopped.tokens, True)
