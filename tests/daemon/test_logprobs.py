from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from erllama_daemon.engine.logprobs import token_logprobs


def test_the_probabilities_of_a_row_sum_to_one() -> None:
    logits = np.random.default_rng(1).normal(0, 5, 20).astype(np.float32)
    answer = token_logprobs(logits, 3, 20, str)
    assert math.fsum(math.exp(entry.logprob) for entry in answer.top) == pytest.approx(1.0, abs=1e-12)
    assert [entry.token for entry in answer.top] == np.argsort(-logits).tolist()
    assert answer.logprob == next(entry.logprob for entry in answer.top if entry.token == 3)
    assert answer.text == "3"


def test_equals_come_in_the_order_of_their_numbers() -> None:
    answer = token_logprobs(np.zeros(100, np.float32), 0, 3, str)
    assert [entry.token for entry in answer.top] == [0, 1, 2]
    assert answer.logprob == pytest.approx(-math.log(100))


@pytest.mark.parametrize("top", [0, 5, 100])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_do_no_harm(bad: float, top: int) -> None:
    some, every = np.array([1, bad, 2, bad], np.float32), np.full(4, bad, np.float32)
    for logits in (some, every):
        answer = token_logprobs(logits, 1, top, str)
        assert all(math.isfinite(entry.logprob) and entry.logprob <= 0 for entry in answer.top)
        assert msgspec.json.decode(msgspec.json.encode(answer), type=type(answer)) == answer


def test_very_large_logits_do_not_overflow() -> None:
    answer = token_logprobs(np.array([3e38, -3e38, 1], np.float32), 0, 1, str)
    assert answer.logprob == 0.0
