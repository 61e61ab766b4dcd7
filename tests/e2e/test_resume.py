"""A conversation outlives what its state was computed with: it is read again once, which is said, and is warm again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import Erllama
from models import ModelUnderTest, model_file, quantize
from scripted import client, new_tokens, say
from tiny_models import TinyModel

from erllama_daemon.messages import Message, Stats

QUESTIONS = ("My name is Ada.", "Who am I?", "Why?", "And then?", "So what?")

every_kind = pytest.mark.parametrize("model", [TinyModel.DENSE.value, TinyModel.HYBRID.value], indirect=True)


def talk(*where: str, count: int = 2) -> list[Stats]:
    """The first turns of a conversation called "build"."""
    first = say(QUESTIONS[0], *where, "--name", "build")
    return [first, *(say(question, "--session", "build") for question in QUESTIONS[1:count])]


def end(turn: Stats) -> int:
    """How many tokens its chain has."""
    return turn.prompt_tokens + turn.completion_tokens


def said_in(turns: list[Stats]) -> list[Message]:
    """The messages of turns that asked the questions one after the other."""
    return [
        message
        for question, turn in zip(QUESTIONS, turns, strict=False)
        for message in (Message("user", [question]), Message("assistant", [turn.text]))
    ]


@every_kind
@pytest.mark.parametrize("settings", [("--kv-type", "q8_0"), ("--flash-attention", "off")], ids=lambda each: each[1])
def test_after_a_change_of_what_computes_it_a_conversation_is_read_again_once(
    model: ModelUnderTest, settings: tuple[str, ...]
) -> None:
    turns = talk(model.argument)
    changed = say(QUESTIONS[2], "--session", "build", *settings)
    turns.append(changed)
    assert (changed.cached_tokens, changed.cache_hit_kind) == (0, "cold")
    assert "another llama.cpp or other settings" in (changed.cache_note or "")
    added = new_tokens(client(), model.argument, said_in(turns[:2]), QUESTIONS[2], ended=False)
    assert changed.prompt_tokens == end(turns[1]) + added
    turns.append(warm := say(QUESTIONS[3], "--session", "build", *settings))
    assert (warm.cached_tokens, warm.cache_note) == (end(changed), None)
    assert client().session("build").messages == said_in(turns)


@every_kind
def test_with_another_quantization_a_conversation_is_read_again_once_and_a_fork_leaves_it_as_it_was(
    model: ModelUnderTest, tmp_path: Path
) -> None:
    other = str(quantize(model.path, tmp_path / "other.gguf"))
    turns = talk(model.argument)
    forked = say(QUESTIONS[2], "--session", "build", "--fork", "--name", "other", "--model", other)
    assert (forked.model, forked.cached_tokens, forked.cache_hit_kind) == (other, 0, "cold")
    assert forked.cache_note == "the model is another one than before"
    assert client().session("other").messages == said_in([*turns, forked])
    warm = say(QUESTIONS[3], "--session", "other")
    assert (warm.model, warm.cached_tokens, warm.cache_note) == (other, end(forked), None)

    assert client().session("build").messages == said_in(turns)
    turns.append(say(QUESTIONS[2], "--session", "build"))
    assert (turns[2].model, turns[2].cached_tokens, turns[2].cache_note) == (model.argument, end(turns[1]), None)
    assert turns[2].logits_digest != forked.logits_digest

    turns.append(moved := say(QUESTIONS[3], "--session", "build", "--model", other))
    assert (moved.model, moved.cache_note) == (other, "the model is another one than before")
    assert moved.cached_tokens <= warm.prompt_tokens  # what the fork has read, and what it said if that is the same
    turns.append(say(QUESTIONS[4], "--session", "build"))
    assert (turns[4].model, turns[4].cached_tokens) == (other, end(moved))
    assert client().session("build").messages == said_in(turns)


def test_a_model_file_that_became_another_one_is_noticed(erllama: Erllama, models_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    original = model_file(TinyModel.DENSE.value, models_folder)
    shutil.copy(original, file)
    turns = talk(str(file))
    assert erllama("daemon", "stop").returncode == 0
    quantize(original, tmp_path / "other.gguf").replace(file)
    turns.append(changed := say(QUESTIONS[2], "--session", "build"))
    assert (changed.cached_tokens, changed.cache_note) == (0, "the model is another one than before")
    turns.append(warm := say(QUESTIONS[3], "--session", "build"))
    assert (warm.cached_tokens, warm.cache_note) == (end(changed), None)
    assert client().session("build").messages == said_in(turns)
