"""A chat goes to another machine and on there; and its state leaves the cache for good, even under a running daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Erllama

from erllama_cache.tending.survey import survey
from erllama_daemon.directories import user_directories

QUESTIONS = ("My name is Ada and I like rivers.", "What do I like?", "Write one sentence about it.")


def turn(erllama: Erllama, question: str, *arguments: str) -> dict[str, Any]:
    done = erllama("chat", *arguments, "--json", "--logits-digest", "-n", "24", "-t", "0", stdin=question)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def move_to(erllama: Erllama, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine with the same model: other conversations, another cache."""
    assert erllama("daemon", "stop").returncode == 0
    for name in ("CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(erllama.home / home / name.lower()))


def test_a_chat_goes_on_elsewhere_with_not_one_token_read_again_until_its_state_is_deleted(
    erllama: Erllama, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    archive = str(tmp_path / "chat.tar")
    first = turn(erllama, QUESTIONS[0], "demo")
    assert erllama("cache", "export", first["session"], "-o", archive).returncode == 0
    at_home = turn(erllama, QUESTIONS[1], "--continue")

    move_to(erllama, "elsewhere", monkeypatch)
    imported = erllama("cache", "import", archive)
    assert imported.returncode == 0, imported.stderr
    assert f"erllama chat --session {first['session']}" in imported.stdout
    elsewhere = turn(erllama, QUESTIONS[1], "--session", first["session"])
    assert elsewhere["cached_tokens"] == first["prompt_tokens"] + first["completion_tokens"]
    assert elsewhere["logits_digest"] == at_home["logits_digest"]
    assert elsewhere["finish_key"] == at_home["finish_key"]
    whole = str(tmp_path / "whole.tar")
    assert erllama("cache", "export", first["session"], "-o", whole).returncode == 0

    # The daemon still holds all of it, live and in memory.
    assert erllama("cache", "evict", "--session", first["session"]).returncode == 0
    assert survey(user_directories().cache).rows == {}
    read_again = turn(erllama, QUESTIONS[2], "--continue")
    assert read_again["cached_tokens"] == 0

    # As where there never was any state of it.
    move_to(erllama, "third", monkeypatch)
    assert erllama("cache", "import", whole).returncode == 0
    assert erllama("cache", "clear").returncode == 0
    cold = turn(erllama, QUESTIONS[2], "--session", first["session"])
    assert cold["cached_tokens"] == 0
    assert read_again["logits_digest"] == cold["logits_digest"]
    assert read_again["text"] == cold["text"]
