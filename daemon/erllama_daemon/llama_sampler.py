"""llama.cpp's native samplers, applied to a row of logits wherever it came from."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import llama_cpp
import numpy as np

from erllama_daemon.backend import Logits
from erllama_daemon.messages import Sampling

PENALTY_WINDOW = 64
"""How many recent tokens the repetition penalty looks at."""

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class LlamaSampler:
    """A native chain in the order repetition penalty → top-k → top-p → min-p → temperature → dist(seed), or greedy.

    It works on a copy of the logits, so a row that was stored with a block is sampled exactly like a fresh one.
    """

    def __init__(self, vocabulary_size: int, sampling: Sampling, seed: int, recent: Sequence[int]) -> None:
        self._candidates = np.zeros(vocabulary_size, dtype=_CANDIDATE)
        self._ids = np.arange(vocabulary_size, dtype=np.int32)
        self._chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        for native in _natives(vocabulary_size, sampling, seed):
            llama_cpp.llama_sampler_chain_add(self._chain, native)
        for token in recent[-PENALTY_WINDOW:]:
            llama_cpp.llama_sampler_accept(self._chain, token)

    def sample(self, logits: Logits) -> int:
        self._candidates["id"] = self._ids
        self._candidates["logit"] = logits
        self._candidates["p"] = 0.0
        array = llama_cpp.llama_token_data_array(
            data=self._candidates.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data)),
            size=len(self._candidates),
            selected=-1,
            sorted=False,
        )
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(array))
        token = int(array.data[array.selected].id)
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        if self._chain is not None:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None


def _natives(vocabulary_size: int, sampling: Sampling, seed: int) -> list[llama_cpp.llama_sampler_p]:
    natives = []
    if sampling.repeat_penalty != 1.0:
        natives.append(
            llama_cpp.llama_sampler_init_penalties(vocabulary_size, PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0)
        )
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
