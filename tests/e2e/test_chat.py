"""`erllama chat` in scripts on the real model: conversations outlive everything."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from conftest import Erllama
from models import MODELS, REAL, ModelUnderTest

from erllama_cache.tending.verification import verify
from erllama_cli.client import Client
from erllama_daemon.directories import user_directories

QUESTIONS = ("My name is Ada and I like rivers.", "What do I like?", "Write one sentence about it.")
SAMPLINGS = {"greedy": ("-t", "0"), "seeded": ("-t", "0.9", "--seed", "42")}


def turn(erllama: Erllama, question: str, *arguments: str, max_tokens: int = 24) -> dict[str, Any]:
    done = erllama("chat", *arguments, "--json", "--logits-digest", "-n", str(max_tokens), stdin=question)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def chat(erllama: Erllama, model: str, sampling: tuple[str, ...], *, kill: bool) -> list[dict[str, Any]]:
    turns = [turn(erllama, QUESTIONS[0], model, *sampling)]
    for question in QUESTIONS[1:]:
        if kill:
            erllama.kill_everything()
        turns.append(turn(erllama, question, "--continue", *sampling))
    return turns


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS.keys())
@pytest.mark.parametrize("model", MODELS, indirect=True)
def test_a_chat_cut_by_kill_9_after_each_turn_equals_one_that_was_never_stopped(
    erllama: Erllama,
    model: ModelUnderTest,
    sampling: tuple[str, ...],
    user_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "demo" if model.name == REAL else str(model.path)
    never_stopped = chat(erllama, name, sampling, kill=False)
    assert erllama("daemon", "stop").returncode == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(user_home / "other"))
    cut = chat(erllama, name, sampling, kill=True)
    for one, other in zip(never_stopped, cut, strict=True):
        assert one["saved"] == other["saved"] == "published"
        for key in ("text", "logits_digest", "finish_key", "cached_tokens", "prompt_tokens", "completion_tokens"):
            assert one[key] == other[key], key
    for turns in (never_stopped, cut):
        for before, after in itertools.pairwise(turns):
            assert after["cached_tokens"] == before["prompt_tokens"] + before["completion_tokens"]


def test_ten_turns_write_the_state_of_each_token_once(erllama: Erllama, user_home: Path) -> None:
    last = turn(erllama, "Count with me: one.", "demo", "-t", "0")
    for number in range(2, 11):
        last = turn(erllama, f"And now number {number}, please.", "--continue", "-t", "0")
    counters = json.loads(erllama("cache", "stats", "--json").stdout)["counters"]
    tokens = last["prompt_tokens"] + last["completion_tokens"]
    blocks = counters["saves_cold"] + counters["saves_finish"] + counters["saves_continued"]
    logits = 20 * 49_152 * 4  # the last token's, for each prompt and each answer
    per_token = 30 * 2 * 3 * 64 * 2  # layers, K and V, heads, head size, bytes of f16
    assert counters["saves_dropped"] == 0
    assert blocks >= 20
    assert 0 <= counters["bytes_written"] - logits - tokens * per_token <= 0.05 * tokens * per_token
    on_disk = sum(file.stat().st_size for file in (user_home / "cache").rglob("*.kv"))
    assert on_disk == counters["bytes_written"]


def cut_off(erllama: Erllama, question: str, *arguments: str) -> bytes:
    """Asks for a long answer and kills the worker once it has begun; gives what the command said of it."""
    script = erllama.home / "question"
    script.write_text(question)
    with script.open("rb") as stdin:
        asking = erllama.start("chat", *arguments, "-n", "4000", "-t", "0", stdin=stdin)
        assert asking.stdout is not None
        assert asking.stdout.read(1)
        status = json.loads(erllama("daemon", "status", "--json").stdout)
        os.kill(status["models"][0]["pid"], signal.SIGKILL)
        _out, err = asking.communicate(timeout=30)
    assert asking.returncode == 1
    return err


def killed(erllama: Erllama, characters: int) -> None:
    """Asks for a long answer, and kills command, daemon and worker once so much of it was read."""
    script = erllama.home / "question"
    script.write_text("Tell me a very long story about it.")
    with script.open("rb") as stdin:
        asking = erllama.start("chat", "--continue", "-n", "4000", "-t", "0", stdin=stdin)
        assert asking.stdout is not None
        asking.stdout.read(characters)
        erllama.kill_everything()
        asking.communicate(timeout=30)
    assert asking.returncode == -signal.SIGKILL


def test_kill_9_in_the_middle_of_turns_loses_no_turn_and_changes_no_bit(
    erllama: Erllama, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_stopped = chat(erllama, "demo", SAMPLINGS["greedy"], kill=False)
    assert erllama("daemon", "stop").returncode == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(user_home / "other"))
    moments = random.Random(7)
    turns = [turn(erllama, QUESTIONS[0], "demo", "-t", "0")]
    for question in QUESTIONS[1:]:
        for characters in (0, moments.randrange(1, 400)):
            killed(erllama, characters)
        turns.append(turn(erllama, question, "--continue", "-t", "0"))
        messages = Client(user_directories()).latest_session().messages
        said = [(message.role, message.text) for message in messages]
        assert said == [
            pair
            for asked, answer in zip(QUESTIONS, turns, strict=False)
            for pair in (("user", asked), ("assistant", answer["text"]))
        ]
    for one, other in zip(never_stopped, turns, strict=True):
        for key in ("text", "logits_digest", "finish_key", "prompt_tokens", "completion_tokens"):
            assert one[key] == other[key], key
    assert list((user_home / "other").rglob("*.tmp")) == []
    assert verify(user_directories().cache).is_clean


def test_an_answer_cut_by_a_killed_worker_leaves_the_conversation_where_it_was(erllama: Erllama) -> None:
    first = turn(erllama, QUESTIONS[0], "demo", "-t", "0")
    question = "Tell me a very long story about it."
    assert b"SIGKILL" in cut_off(erllama, question, "--continue")
    session = Client(user_directories()).latest_session()
    assert session.unanswered is not None
    assert session.unanswered.text == question
    again = turn(erllama, QUESTIONS[1], "--continue", "-t", "0")
    assert again["session"] == first["session"]
    assert again["cached_tokens"] == first["prompt_tokens"] + first["completion_tokens"]


def test_a_system_prompt_outlives_a_first_turn_that_was_cut_off(erllama: Erllama) -> None:
    cut_off(erllama, "Tell me a very long story.", "demo", "-s", "You are a llama.")
    turn(erllama, "Who are you?", "--continue", "-t", "0")
    roles = [message.role for message in Client(user_directories()).latest_session().messages]
    assert roles == ["system", "user", "assistant"]


def test_a_chat_goes_on_after_the_cache_was_deleted_and_says_that_it_read_again(
    erllama: Erllama, user_home: Path
) -> None:
    first = turn(erllama, QUESTIONS[0], "demo", "-t", "0")
    erllama.kill_everything()
    for path in sorted((user_home / "cache").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    again = turn(erllama, QUESTIONS[1], "--continue", "-t", "0")
    assert again["session"] == first["session"]
    assert again["cached_tokens"] == 0
    assert "gone" in again["cache_note"]
    assert again["prompt_tokens"] > first["prompt_tokens"] + first["completion_tokens"]
    last = turn(erllama, QUESTIONS[2], "--continue", "-t", "0")
    assert last["cached_tokens"] == again["prompt_tokens"] + again["completion_tokens"]
    assert last["cache_note"] is None


def test_a_conversation_reads_each_token_once(erllama: Erllama) -> None:
    turns = chat(erllama, "demo", SAMPLINGS["greedy"], kill=False)
    new = [later["prompt_tokens"] - later["cached_tokens"] for later in turns[1:]]
    assert max(new) < 40
