"""A client that sends the whole conversation as text each time gets the answers of one that holds it, bit for bit."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from models import REAL, ModelUnderTest
from tiny_models import TinyModel
from worker_process import WorkerProcess

from erllama_cache.keys import unpack_tokens
from erllama_daemon.frames import Finished, History
from erllama_daemon.messages import Message, Sampling

GREEDY = Sampling(temperature=0.0)
DRIFTING = Sampling(temperature=1.5, seed=7, grammar="root ::= [a-c ]{400}")
"""Text, from a model that knows nothing, cut off: with pairs of spaces, said one by one and read as one token."""

QUESTIONS = ("Tell me a story about a llama that hums.", "Why did it do that?", "And how does the story end?")
LONG_ANSWERS, SHORT_ANSWERS = (270, 30, 30), (40, 20, 10)
"""Tokens. The first long answer is longer than a block; the real model takes its time for that."""

KINDS = (REAL, TinyModel.DENSE.value, TinyModel.SLIDING_WINDOW.value, TinyModel.HYBRID.value)


@pytest.mark.parametrize("model", KINDS, indirect=True)
def test_a_conversation_sent_again_as_text_equals_one_that_is_held_bit_for_bit(
    model: ModelUnderTest, tmp_path: Path
) -> None:
    sampling, lengths = (GREEDY, SHORT_ANSWERS) if model.name == REAL else (DRIFTING, LONG_ANSWERS)
    with WorkerProcess(model.path, tmp_path / "held") as worker:
        held = _converse([worker] * 3, sampling, lengths, holds=True)
    with WorkerProcess(model.path, tmp_path / "resent") as worker:
        resent = _converse([worker] * 2, sampling, lengths, holds=False)
        with WorkerProcess(model.path, tmp_path / "resent", ram_bytes=0) as another:
            resent += _converse([another], sampling, lengths, holds=False, turns=resent)
            asked: dict[str, Any] = {"before": _said(resent[:2]), "max_tokens": 10, "sampling": sampling}
            reproducible = another.generate(QUESTIONS[2], reproducible=True, **asked)
    with WorkerProcess(model.path, tmp_path / "cold") as worker:
        cold = worker.generate(QUESTIONS[2], **asked)
    for one, other in zip(held, resent, strict=True):
        assert one.stats.logits_digest == other.stats.logits_digest
        assert one.tokens == other.tokens
        assert one.finish_key == other.finish_key
        assert one.stats.cached_tokens == other.stats.cached_tokens
    for before, turn in itertools.pairwise(resent):
        assert turn.stats.cache_hit_kind == "partial"
        assert turn.stats.cached_tokens == len(unpack_tokens(before.tokens))
    assert cold.stats.cache_hit_kind == "cold"
    assert reproducible.stats.logits_digest == cold.stats.logits_digest
    if sampling is DRIFTING:  # the same text, and yet other tokens
        read, said = unpack_tokens(cold.tokens), unpack_tokens(resent[1].tokens)
        assert read[: len(said)] != said


def _said(turns: list[Finished]) -> list[Message]:
    said = []
    for question, turn in zip(QUESTIONS, turns, strict=False):
        said += [Message("user", [question]), Message("assistant", [turn.stats.text])]
    return said


def _converse(
    workers: list[WorkerProcess],
    sampling: Sampling,
    lengths: tuple[int, ...],
    *,
    holds: bool,
    turns: list[Finished] | None = None,
) -> list[Finished]:
    before, new = list(turns or []), list[Finished]()
    for worker in workers:
        said, question = _said(before), QUESTIONS[len(before)]
        tokens = lengths[len(before)]
        history = None
        if holds and before:
            last = before[-1]
            history = History(
                messages=said, tokens=last.tokens, finish_key=last.finish_key, fingerprint=worker.ready.fingerprint
            )
        resent = [] if holds else said
        new.append(worker.generate(question, before=resent, history=history, max_tokens=tokens, sampling=sampling))
        before.append(new[-1])
    return new
