"""Chats that a test scripts through the command line, and what each of their turns has to read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from conftest import Erllama
from typer.testing import CliRunner

from erllama_cache.counters import Counters
from erllama_cache.stats import StoreStats
from erllama_cli.client import Client
from erllama_cli.command import new_app
from erllama_cli.launcher import running_daemon
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import CompleteRequest, Done, Message, RenderRequest, Stats, TokenizeRequest

GREEDY = ("-t", "0")
END_OF_ANSWER = "<|im_end|>"
"""What the templates of the models under test write after an answer, unless the model has done so itself."""

COMPARED = ("text", "finish_key", "logits_digest", "prompt_tokens", "completion_tokens")
"""What two answers that are the same bit for bit have in common."""


def say(question: str, *arguments: str, sampling: tuple[str, ...] = GREEDY, max_tokens: int = 8) -> Stats:
    """One turn: the answer to `question` in the conversation that `arguments` name, by a command in this process."""
    words = ("chat", *arguments, *sampling, "--json", "--logits-digest", "-n", str(max_tokens))
    done = CliRunner().invoke(new_app(), words, input=question, prog_name="erllama")
    assert done.exit_code == 0, done.output
    return msgspec.json.decode(done.stdout, type=Stats)


def answer(request: CompleteRequest) -> Stats:
    """The answer to a request, asked of the daemon itself."""
    *_events, last = client().complete(request)
    assert isinstance(last, Done), last
    return last.stats


def client() -> Client:
    """One of the running daemon, or of one that is started."""
    return running_daemon(user_directories())


def counters(erllama: Erllama) -> Counters:
    """What the cache has counted up to now."""
    done = erllama("cache", "stats", "--json")
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=StoreStats).counters


def read_tokens(turn: Stats) -> int:
    """How many tokens of its prompt a turn had to read."""
    return turn.prompt_tokens - turn.cached_tokens


def text_added(asking: Client, model: str, said: list[Message], question: str, *, ended: bool) -> str:
    """What a question adds to the text that the model has read and said; `ended` if it ended its last answer itself."""
    asked = asking.render(RenderRequest(model=model, messages=said[:-1])).text
    whole = asking.render(RenderRequest(model=model, messages=[*said, Message("user", [question])])).text
    known = asked + said[-1].text
    assert whole.startswith(known)
    added = whole.removeprefix(known)
    return added.removeprefix(END_OF_ANSWER) if ended else added


def new_tokens(asking: Client, model: str, said: list[Message], question: str, *, ended: bool) -> int:
    """How many tokens a turn has that were neither read nor said before it, by tokenizing its text alone."""
    if not said:
        return len(asking.render(RenderRequest(model=model, messages=[Message("user", [question])])).tokens)
    added = text_added(asking, model, said, question, ended=ended)
    return len(asking.tokenize(TokenizeRequest(model=model, text=added)).tokens)


def move_home(erllama: Erllama, monkeypatch: pytest.MonkeyPatch, name: str) -> Path:
    """Has a user with the same models but no conversations and no cache go on; gives the new home."""
    assert erllama("daemon", "stop").returncode == 0
    home = erllama.home / name
    for part in ("CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{part}_HOME", str(home / part.lower()))
    return home
