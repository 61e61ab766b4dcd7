"""llama.cpp's native samplers, applied to a row of logits wherever it came from."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from erllama_daemon.engine.backend import Logits
from erllama_daemon.errors import TokenUnknown
from erllama_daemon.grammar.gbnf import START
from erllama_daemon.llama.grammar import grammar_of, refusal
from erllama_daemon.messages import Sampling

PENALTY_WINDOW = 64
"""How many recent tokens the repetition penalty looks at."""

MAX_BIAS = 1e30
"""Biases are clipped here: infinite ones would add up to no number at all."""

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_Ids = npt.NDArray[np.int32]
_CandidatePointer = ctypes.POINTER(llama_cpp.llama_token_data)
_STRIDE = 32
"""How many logits at a time are boiled down to their maximum in the search for the likeliest."""

_FIRST_LOOK = 128
"""How many of the likeliest tokens a grammar sees before it sees them all."""


class LlamaSampler:
    """A chain: logit bias → grammar → penalties → top-k → top-p → min-p → temperature → dist(seed).

    At temperature 0 the likeliest token is taken after the penalties. It works on a copy of the logits, so a row
    that was stored with a block is sampled exactly like a fresh one. `last_error` gives llama.cpp's last error line.
    Raises RequestInvalid, GrammarInvalid, JsonSchemaInvalid and TokenUnknown.
    """

    def __init__(
        self,
        vocab: llama_cpp.llama_vocab_p,
        vocabulary_size: int,
        sampling: Sampling,
        seed: int,
        recent: Sequence[int],
        *,
        last_error: Callable[[], str] | None = None,
    ) -> None:
        self._chain: llama_cpp.llama_sampler_p | None = None
        self._sampling = sampling
        self._biased, self._biases = _logit_bias(sampling, vocabulary_size)
        self._vocab, self._last_error = vocab, last_error
        grammar = grammar_of(sampling)
        self._grammar = None if grammar is None else self._native_grammar(grammar)
        # What a grammar has not seen being generated it would not survive: only the penalty looks back.
        self._recent = deque(recent[-PENALTY_WINDOW:], PENALTY_WINDOW)
        self._has_penalty = _has_penalty(sampling)
        self._needed = _needed(sampling)
        self._is_drawn = sampling.temperature > 0.0
        self._is_argmax = not self._is_drawn and not self._has_penalty
        if not self._is_argmax:
            self._chain = _native_chain(vocabulary_size, sampling, seed)
            for token in self._recent:
                llama_cpp.llama_sampler_accept(self._chain, token)
        self._every_id = np.arange(vocabulary_size, dtype=np.int32)
        self._candidates = np.zeros(vocabulary_size, dtype=_CANDIDATE)
        self._pointer = self._candidates.ctypes.data_as(_CandidatePointer)
        self._array = llama_cpp.llama_token_data_array()

    def sample(self, logits: Logits) -> int:
        """The next token. Raises GrammarInvalid or JsonSchemaInvalid if the grammar leaves the model no token."""
        if len(self._biased):
            logits = logits.copy()
            logits[self._biased] += self._biases
        if self._grammar is not None:
            token = self._pick(self._load_allowed(logits))
            llama_cpp.llama_sampler_accept(self._grammar, token)
        elif self._is_argmax:
            return int(logits.argmax())
        else:
            token = self._pick(self._load(logits, self._likeliest(logits, self._needed)))
        if self._chain is not None:
            llama_cpp.llama_sampler_accept(self._chain, token)
            self._recent.append(token)
        return token

    def follow(self, grammar: str) -> None:
        self._grammar = self._native_grammar(grammar)

    def close(self) -> None:
        for native in (self._chain, self._grammar):
            if native is not None:
                llama_cpp.llama_sampler_free(native)
        self._chain = self._grammar = None

    def _native_grammar(self, grammar: str) -> llama_cpp.llama_sampler_p:
        native: llama_cpp.llama_sampler_p | None = llama_cpp.llama_sampler_init_grammar(
            self._vocab, grammar.encode(), START.encode()
        )
        if not native:
            reason = self._last_error() if self._last_error is not None else ""
            raise refusal(self._sampling, reason or "llama.cpp refuses it")
        return native

    def _likeliest(self, logits: Logits, count: int | None) -> _Ids:
        """At least the `count` likeliest tokens in order of their numbers, and those with a penalty; None is for all.

        Every other token is less likely. Whatever the chain keeps is among them, and it has far less to sort. In which
        order it sorts equals depends on all that it sorts, so it gets everything if there are any.
        """
        columns = len(logits) // _STRIDE
        if count is None or count >= columns:
            return self._every_id
        highest = logits[: columns * _STRIDE].reshape(_STRIDE, columns).max(axis=0)
        is_likely = logits >= np.partition(highest, columns - count)[columns - count]
        if self._has_penalty:
            is_likely[list(self._recent)] = True
        ids = np.flatnonzero(is_likely).astype(np.int32)
        if len(ids) < count or (self._is_drawn and _has_equals(logits[ids])):  # too few if there are NaNs
            return self._every_id
        return ids

    def _load(self, logits: Logits, ids: _Ids) -> int:
        candidates = self._candidates[: len(ids)]
        candidates["id"] = ids
        candidates["logit"] = logits if len(ids) == len(logits) else logits[ids]
        candidates["p"] = 0.0
        return len(ids)

    def _load_allowed(self, logits: Logits) -> int:
        """Loads the tokens that the grammar allows, or as many of the likeliest as decide: all cost milliseconds."""
        if self._needed is not None:
            ids = self._likeliest(logits, max(_FIRST_LOOK, 4 * self._needed))
            count = self._allow(self._load(logits, ids))
            if count >= self._needed:
                return count
        count = self._allow(self._load(logits, self._every_id))
        if not count:
            raise refusal(self._sampling, "it leaves the model no token to go on with")
        return count

    def _allow(self, count: int) -> int:
        llama_cpp.llama_sampler_apply(self._grammar, self._view(count))
        candidates = self._candidates[:count]
        allowed = candidates[candidates["logit"] != -np.inf]
        self._candidates[: len(allowed)] = allowed
        return len(allowed)

    def _pick(self, count: int) -> int:
        if self._chain is None:
            candidates = self._candidates[:count]
            return int(candidates["id"][candidates["logit"].argmax()])
        llama_cpp.llama_sampler_apply(self._chain, self._view(count))
        return int(self._array.data[self._array.selected].id)

    def _view(self, count: int) -> Any:
        array: Any = self._array
        array.data, array.size, array.selected, array.sorted = self._pointer, count, -1, False
        return ctypes.byref(array)


def _has_equals(logits: Logits) -> bool:
    ordered = np.sort(logits)
    return bool((ordered[1:] == ordered[:-1]).any())


def _has_penalty(sampling: Sampling) -> bool:
    return sampling.repeat_penalty != 1.0 or sampling.frequency_penalty != 0.0 or sampling.presence_penalty != 0.0


def _needed(sampling: Sampling) -> int | None:
    """How many of the likeliest tokens decide; a penalty moves at most its window. None is for all."""
    moved = PENALTY_WINDOW if _has_penalty(sampling) else 0
    if sampling.temperature <= 0.0:
        return 1 + moved
    return sampling.top_k + moved if sampling.top_k > 0 else None


def _logit_bias(sampling: Sampling, vocabulary_size: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    for token in sampling.logit_bias:
        if not 0 <= token < vocabulary_size:
            raise TokenUnknown(token=token, last=vocabulary_size - 1)
    biases = np.clip(np.array(list(sampling.logit_bias.values()), dtype=np.float64), -MAX_BIAS, MAX_BIAS)
    return np.array(list(sampling.logit_bias), dtype=np.intp), biases.astype(np.float32)


def _native_chain(vocabulary_size: int, sampling: Sampling, seed: int) -> llama_cpp.llama_sampler_p:
    chain: llama_cpp.llama_sampler_p = llama_cpp.llama_sampler_chain_init(
        llama_cpp.llama_sampler_chain_default_params()
    )
    for native in _natives(vocabulary_size, sampling, seed):
        llama_cpp.llama_sampler_chain_add(chain, native)
    return chain


def _natives(vocabulary_size: int, sampling: Sampling, seed: int) -> list[llama_cpp.llama_sampler_p]:
    natives = []
    if _has_penalty(sampling):
        penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
        natives.append(llama_cpp.llama_sampler_init_penalties(vocabulary_size, PENALTY_WINDOW, *penalties))
    if sampling.temperature <= 0.0:
        return [*natives, llama_cpp.llama_sampler_init_greedy()]
    if sampling.top_k > 0:
        natives.append(llama_cpp.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1.0:
        natives.append(llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0.0:
        natives.append(llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1))
    natives.append(llama_cpp.llama_sampler_init_temp(sampling.temperature))
    natives.append(llama_cpp.llama_sampler_init_dist(seed))
    return natives
