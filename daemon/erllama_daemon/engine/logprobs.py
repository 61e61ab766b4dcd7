"""How likely a token was, and which others were, from a row of logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from erllama_daemon.engine.backend import Logits
from erllama_daemon.messages import TokenLogprob, TokenLogprobs

MAX_TOP = 20
"""How many likeliest tokens can be asked for."""

_IMPOSSIBLE = -9999.0
"""The logarithm of probability 0, which JSON cannot write."""


def token_logprobs(logits: Logits, token: int, top: int, text_of: Callable[[int], str]) -> TokenLogprobs:
    """The natural logarithm of `token`'s probability and the `top` likeliest tokens, best first, then by number.

    The probabilities are those before any sampler. A logit that is no number counts as impossible.
    """
    row = np.where(np.isnan(logits), -np.inf, logits).astype(np.float64)
    count = max(0, min(top, MAX_TOP, len(row)))
    row -= _log_sum(row)
    best: list[int] = []
    if count:
        border = np.partition(row, len(row) - count)[len(row) - count]
        candidates = np.flatnonzero(row >= border)
        best = candidates[np.argsort(-row[candidates], kind="stable")][:count].tolist()

    def logprob(index: int) -> float:
        return max(float(row[index]), _IMPOSSIBLE)

    return TokenLogprobs(
        token=token,
        text=text_of(token),
        logprob=logprob(token),
        top=[TokenLogprob(token=index, text=text_of(index), logprob=logprob(index)) for index in best],
    )


def _log_sum(row: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """The logarithm of the sum of the exponentials; 0 if there is nothing to add up."""
    highest = float(row.max())
    if not np.isfinite(highest):
        # Infinite logits share the whole probability between them.
        infinite = np.isposinf(row)
        row[infinite], row[~infinite] = 0.0, -np.inf
        return float(np.log(max(1, int(infinite.sum()))))
    return highest + float(np.log(np.exp(row - highest).sum()))
