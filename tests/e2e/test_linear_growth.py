"""A long scripted chat reads each token once: a turn costs its own new tokens, however much was said before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Erllama
from models import REAL, ModelUnderTest
from scripted import client, counters, new_tokens, read_tokens, say
from tiny_models import TinyModel

from erllama_daemon.messages import Message, Stats

OTHERS = (TinyModel.HYBRID.value, TinyModel.SLIDING_WINDOW.value)
TURNS = {REAL: 30}
FEWER_TURNS = 12
"""With a tiny model, whose tokens are bytes."""

SUBJECTS = ("rivers", "llamas", "maps", "lamps", "rain", "bread")
QUESTIONS = ("What are {}?", "Who likes {}?", "Why {}, and not {}?", "Say more about {}.", "And {}?")


def question(number: int) -> str:
    one, other = SUBJECTS[number % len(SUBJECTS)], SUBJECTS[number * 5 // 2 % len(SUBJECTS)]
    return f"{number}. {QUESTIONS[number % len(QUESTIONS)].format(one, other)}"


def restart(erllama: Erllama) -> None:
    assert erllama("daemon", "stop").returncode == 0
    assert erllama.processes() == []


def kill(erllama: Erllama) -> None:
    erllama.kill_everything()


@pytest.mark.parametrize(
    ("model", "interrupt"),
    [(REAL, restart), *((name, kill) for name in OTHERS)],
    indirect=["model"],
)
def test_each_turn_of_a_long_chat_reads_its_own_tokens_alone(
    erllama: Erllama, model: ModelUnderTest, interrupt: Callable[[Erllama], None]
) -> None:
    name = model.argument
    count = TURNS.get(model.name, FEWER_TURNS)
    turns: list[Stats] = []
    said: list[Message] = []
    for number in range(1, count + 1):
        asked, before = question(number), turns[-1] if turns else None
        turn = say(asked, "--continue" if turns else name)
        ended = before is not None and before.finish_reason == "stop"
        expected = new_tokens(client(), name, said, asked, ended=ended)
        so_far = before.prompt_tokens + before.completion_tokens if before else 0
        assert (turn.cached_tokens, read_tokens(turn)) == (so_far, expected), f"turn {number}: {turn.cache_note}"
        assert turn.prompt_tokens == so_far + expected
        assert turn.cache_hit_kind == ("partial" if turns else "cold")
        turns.append(turn)
        said += [Message("user", [asked]), Message("assistant", [turn.text])]
        if number == count // 2:
            interrupt(erllama)
    assert {turn.session for turn in turns} == {turns[0].session}
    assert client().latest_session().messages == said
    whole = turns[-1].prompt_tokens + turns[-1].completion_tokens
    assert sum(map(read_tokens, turns)) == whole - sum(turn.completion_tokens for turn in turns)
    if interrupt is not kill:  # which what was counted last need not outlive
        assert counters(erllama).tokens_prefilled == sum(map(read_tokens, turns))
        assert counters(erllama).tokens_reused == sum(turn.cached_tokens for turn in turns)
