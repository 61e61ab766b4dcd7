"""Conversations that outgrow a small context, on the real model."""

from __future__ import annotations

import json

import pytest
from conftest import Erllama

from erllama_cli.client import Client
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import (
    CompleteRequest,
    Done,
    Message,
    ModelOptions,
    Overflow,
    Prefilling,
    RemoteError,
    Sampling,
    Session,
    Stats,
    Summarizing,
)

CONTEXT = 384
TURNS = 12
LITTLE = 70
"""No question, with what the template puts around it, has so many tokens."""


def question(number: int) -> str:
    return f"Day {number}: the llama crossed {number} rivers and hummed. Tell me more about day {number}, please."


def say(session: Session, text: str, overflow: Overflow) -> tuple[Stats, list[Summarizing], list[Prefilling]]:
    """A turn's stats, and what was said of summaries and of reading on the way to it."""
    request = CompleteRequest(
        session=session.id,
        messages=[Message("user", [text])],
        max_tokens=40,
        sampling=Sampling(temperature=0.0),
        options=ModelOptions(context_size=CONTEXT),
        overflow=overflow,
    )
    *events, done = Client(user_directories()).complete(request)
    assert isinstance(done, Done)
    summarizing = [event for event in events if isinstance(event, Summarizing)]
    return done.stats, summarizing, [event for event in events if isinstance(event, Prefilling)]


def begin(erllama: Erllama) -> Session:
    assert erllama("load", "demo", "--ctx", str(CONTEXT)).returncode == 0
    return Client(user_directories()).new_session("demo")


def test_a_conversation_that_outgrew_its_context_stops_and_names_the_choices(erllama: Erllama) -> None:
    session = begin(erllama)
    turns = 0
    with pytest.raises(RemoteError) as caught:
        for turns in range(TURNS):
            say(session, question(turns), "stop")
    failure = caught.value.failure
    assert (failure.code, failure.exit_code) == ("context_exceeded", 5)
    assert failure.hint is not None
    for choice in ("--ctx", "--overflow drop", "--overflow summarize", "/goto", "/fork"):
        assert choice in failure.hint
    kept = Client(user_directories()).session(session.id)
    assert kept.turns == turns > 2
    assert kept.unanswered == Message("user", [question(turns)])
    assert say(session, question(turns), "drop")[0].turn is not None


@pytest.mark.parametrize("overflow", ["drop", "summarize"])
def test_a_conversation_goes_on_over_several_overflows_and_the_turn_after_each_reads_only_what_is_new(
    erllama: Erllama, overflow: Overflow
) -> None:
    session = begin(erllama)
    before: Stats | None = None
    overflows = read = 0
    for number in range(TURNS):
        stats, summarizing, reading = say(session, question(number), overflow)
        assert stats.prompt_tokens < CONTEXT
        assert all(event.total < CONTEXT for event in reading)
        assert stats.completion_tokens > 0
        assert (stats.summary is None) == (not summarizing)
        if stats.dropped_messages:
            overflows += 1
            assert (stats.summary is not None) == (overflow == "summarize")
            assert [event.messages for event in summarizing] == [stats.dropped_messages] * len(summarizing)
        elif before is not None:
            assert stats.cached_tokens == before.prompt_tokens + before.completion_tokens
            assert stats.prompt_tokens - stats.cached_tokens < LITTLE
        before = stats
        read += stats.prompt_tokens - stats.cached_tokens
    assert overflows >= 2
    said = [
        message.text for message in Client(user_directories()).session(session.id).messages if message.role == "user"
    ]
    assert said == [*map(question, range(TURNS))]
    assert erllama("daemon", "stop").returncode == 0
    prefilled = json.loads(erllama("cache", "stats", "--json").stdout)["counters"]["tokens_prefilled"]
    summaries = overflows if overflow == "summarize" else 0
    assert summaries <= prefilled - read <= summaries * LITTLE, "of what is summarized, only the instruction is read"
