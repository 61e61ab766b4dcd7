"""Conversations from shell scripts on the real model: by name, by key, several at once, after the model has moved."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Erllama
from models import REAL, model_file

from erllama_cli.client import Client
from erllama_daemon.directories import user_directories

QUESTIONS = ("My name is Ada and I like rivers.", "What do I like?", "Write one sentence about it.")
EXACT = ("-t", "0", "-n", "24", "--json", "--logits-digest")
SAME = ("text", "finish_key", "logits_digest", "prompt_tokens", "completion_tokens", "cached_tokens")


def said(erllama: Erllama, *arguments: str, stdin: str = "") -> dict[str, Any]:
    done = erllama(*arguments, *EXACT, stdin=stdin)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def by_chat(erllama: Erllama) -> list[dict[str, Any]]:
    first = said(erllama, "chat", "demo", "--session", "my build", stdin=QUESTIONS[0])
    return [first, *(said(erllama, "chat", "--session", "my build", stdin=question) for question in QUESTIONS[1:])]


def by_continuing(erllama: Erllama) -> list[dict[str, Any]]:
    first = said(erllama, "chat", "demo", stdin=QUESTIONS[0])
    return [first, *(said(erllama, "chat", "-c", stdin=question) for question in QUESTIONS[1:])]


def by_run(erllama: Erllama) -> list[dict[str, Any]]:
    return [said(erllama, "run", "demo", "--session", "my build", question) for question in QUESTIONS]


def by_key(erllama: Erllama) -> list[dict[str, Any]]:
    turns = [said(erllama, "run", "demo", QUESTIONS[0])]
    for question in QUESTIONS[1:]:
        turns.append(said(erllama, "run", "demo", "--parent", turns[-1]["finish_key"], question))
    return turns


WAYS = {"chat --session": by_chat, "chat -c": by_continuing, "run --session": by_run, "run --parent": by_key}


def test_every_way_to_go_on_gives_the_same_bits_and_reads_only_what_is_new(
    erllama: Erllama, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chains = {}
    for number, (way, converse) in enumerate(WAYS.items()):
        # Each way finds in the cache only what it has left there itself.
        for folder in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
            monkeypatch.setenv(folder, str(user_home / f"{folder}-{number}"))
        chains[way] = converse(erllama)
        assert erllama("daemon", "stop").returncode == 0
    for way, turns in chains.items():
        for one, other in zip(chains["chat --session"], turns, strict=True):
            assert {key: one[key] for key in SAME} == {key: other[key] for key in SAME}, way
        for before, after in itertools.pairwise(turns):
            assert after["cached_tokens"] == before["prompt_tokens"] + before["completion_tokens"], way
            assert after["parent_key"] == before["finish_key"], way
        has_session = way != "run --parent"
        assert len({turn["session"] for turn in turns}) == 1
        assert all((turn["session"] is not None) == (turn["turn"] is not None) == has_session for turn in turns)


def test_a_key_of_a_conversation_is_followed_beside_it(erllama: Erllama) -> None:
    first, second, _ = by_run(erllama)
    beside = said(erllama, "run", "demo", "--parent", first["finish_key"], QUESTIONS[1])
    assert {key: beside[key] for key in ("text", "finish_key", "logits_digest")} == {
        key: second[key] for key in ("text", "finish_key", "logits_digest")
    }
    assert Client(user_directories()).session("my build").turns == 3


def test_turns_that_are_asked_at_once_follow_each_other(erllama: Erllama) -> None:
    commands = [erllama.start("run", "demo", "--session", "build", f"Say {number}.", *EXACT) for number in range(4)]
    turns = [json.loads(command.communicate(timeout=120)[0]) for command in commands]
    assert [command.returncode for command in commands] == [0] * 4
    turns.sort(key=lambda turn: int(turn["turn"]))
    for before, after in itertools.pairwise(turns):
        assert after["parent_key"] == before["finish_key"]
    session = Client(user_directories()).session("build")
    assert (session.turns, session.finish_key) == (4, turns[-1]["finish_key"])


def test_a_conversation_goes_on_where_its_model_has_moved_to(
    erllama: Erllama, models_folder: Path, tmp_path: Path
) -> None:
    model, moved = tmp_path / "model.gguf", tmp_path / "moved.gguf"
    shutil.copy(model_file(REAL, models_folder), model)
    first = said(erllama, "chat", str(model), "--name", "build", stdin=QUESTIONS[0])
    model.rename(moved)
    refused = erllama("chat", "--session", "build", stdin=QUESTIONS[1])
    assert refused.returncode == 3
    assert "is not there any more" in refused.stderr
    again = said(erllama, "chat", "--session", "build", "--model", str(moved), stdin=QUESTIONS[1])
    assert (again["session"], again["model"]) == (first["session"], str(moved))
    assert again["cached_tokens"] == first["prompt_tokens"] + first["completion_tokens"]
    assert again["cache_note"] is None


def test_an_unknown_conversation_is_named_with_those_that_are_near(erllama: Erllama) -> None:
    said(erllama, "run", "demo", "--session", "my build", QUESTIONS[0])
    done = erllama("chat", "--session", "my bild", stdin="")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "erllama: There is no conversation 'my bild'.",
        "Did you mean 'my build'? See all with: erllama sessions ls",
    ]
