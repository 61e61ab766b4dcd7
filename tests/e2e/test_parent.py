"""Messages after a key on the real model: shell scripts can go on with any answer, as a conversation would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Erllama

from erllama_cli.client import Client
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import CompleteRequest, Done, Message, RemoteError, Sampling, Stats

QUESTIONS = ("My name is Ada and I like rivers.", "What do I like?", "Write one sentence about it.")


def by_key(question: str, parent_key: str | None, model: str = "demo") -> Stats:
    request = CompleteRequest(
        messages=[Message("user", [question])],
        parent_key=parent_key,
        model=model,
        max_tokens=24,
        sampling=Sampling(temperature=0.0),
        logits_digest=True,
    )
    *_before, last = Client(user_directories()).complete(request)
    assert isinstance(last, Done), last
    return last.stats


def in_session(erllama: Erllama, question: str, *arguments: str) -> dict[str, Any]:
    options = ("--json", "--logits-digest", "-n", "24", "-t", "0")
    done = erllama("chat", *arguments, *options, stdin=question)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_answers_that_follow_keys_equal_those_of_a_conversation_bit_for_bit(
    erllama: Erllama, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert erllama("load", "demo").returncode == 0
    first = by_key(QUESTIONS[0], None)
    second = by_key(QUESTIONS[1], first.finish_key)
    erllama.kill_everything()
    assert erllama("load", "demo").returncode == 0
    third = by_key(QUESTIONS[2], second.finish_key)
    assert erllama("daemon", "stop").returncode == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(user_home / "other"))
    turns = [in_session(erllama, QUESTIONS[0], "demo")]
    turns += [in_session(erllama, question, "--continue") for question in QUESTIONS[1:]]
    for stats, turn in zip((first, second, third), turns, strict=True):
        for key in ("text", "finish_key", "logits_digest", "cached_tokens", "prompt_tokens", "completion_tokens"):
            assert getattr(stats, key) == turn[key], key
    assert second.parent_key == first.finish_key
    assert second.cached_tokens == first.prompt_tokens + first.completion_tokens


def test_a_key_that_nothing_ends_in_is_named(erllama: Erllama) -> None:
    assert erllama("load", "demo").returncode == 0
    with pytest.raises(RemoteError) as caught:
        by_key("Why?", "0f" * 32)
    assert caught.value.failure.code == "parent_unknown"
    assert "0f" * 32 in caught.value.failure.message
