"""Embeddings, in a llama.cpp context of their own that shares the weights."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import llama_cpp
import numpy as np

from erllama_daemon.engine.backend import ComputeFailed, Vector
from erllama_daemon.llama.log import NativeLog

_POOLINGS = {
    llama_cpp.LLAMA_POOLING_TYPE_MEAN: "mean",
    llama_cpp.LLAMA_POOLING_TYPE_CLS: "cls",
    llama_cpp.LLAMA_POOLING_TYPE_LAST: "last",
}
_LIMIT = 8192
"""Tokens of one text, if the model allows as many: pooling needs them all in one batch, whose memory grows with it."""

_SMALLEST_BATCH = 256


class LlamaEmbedder:
    """The context is created at the first text, and again for a text that is longer than any before."""

    def __init__(self, model: llama_cpp.llama_model_p, threads: int, log: NativeLog) -> None:
        self._model = model
        self._threads = threads
        self._log = log
        self._context: llama_cpp.llama_context_p | None = None
        self._capacity = 0
        architecture = self._metadata("general.architecture")
        self.can_generate: bool = self._metadata(f"{architecture}.attention.causal") != "false"
        declared = self._metadata(f"{architecture}.pooling_type")
        known = declared.isdigit() and int(declared) != llama_cpp.LLAMA_POOLING_TYPE_NONE
        self._pooling_type = int(declared) if known else llama_cpp.LLAMA_POOLING_TYPE_MEAN

    @property
    def pooling(self) -> str:
        """How the vectors of a text's tokens become one; `none` if the model gives no embeddings."""
        return _POOLINGS.get(self._pooling_type, "none")

    @property
    def limit(self) -> int:
        """The longest text in tokens; 0 if the model gives no embeddings."""
        if self._pooling_type not in _POOLINGS:
            return 0
        return min(llama_cpp.llama_model_n_ctx_train(self._model) or _LIMIT, _LIMIT)

    def embed(self, tokens: Sequence[int]) -> Vector:
        """The pooled vector of a text that is within the limit, of length 1. Raises ComputeFailed."""
        context = self._ready(len(tokens))
        memory = llama_cpp.llama_get_memory(context)
        if memory:
            llama_cpp.llama_memory_clear(memory, False)
        data = (llama_cpp.llama_token * len(tokens))(*tokens)
        status = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(data, len(tokens)))
        pooled = llama_cpp.llama_get_embeddings_seq(context, 0) if status == 0 else None
        if not pooled:
            raise ComputeFailed(f"llama_decode returned {status} {self._log.last_error()}".rstrip())
        width = llama_cpp.llama_model_n_embd(self._model)
        vector = np.ctypeslib.as_array(pooled, shape=(width,)).astype(np.float32, copy=True)
        norm = float(np.linalg.norm(vector.astype(np.float64)))
        if not np.isfinite(norm) or norm == 0.0:
            raise ComputeFailed("the embedding has no direction")
        return (vector / norm).astype(np.float32)

    def close(self) -> None:
        """Frees the context. A second call does nothing."""
        if self._context is not None:
            llama_cpp.llama_free(self._context)
        self._context, self._capacity = None, 0

    def _ready(self, tokens: int) -> llama_cpp.llama_context_p:
        if self._context is not None and tokens <= self._capacity:
            return self._context
        self.close()
        self._capacity = _SMALLEST_BATCH
        while self._capacity < tokens:
            self._capacity *= 2
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = self._capacity
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = self._threads
        params.embeddings = True
        params.pooling_type = self._pooling_type
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            self._context = None
            raise ComputeFailed(self._log.last_error() or "llama.cpp could not create a context")
        return self._context

    def _metadata(self, key: str) -> str:
        value = ctypes.create_string_buffer(128)
        count = llama_cpp.llama_model_meta_val_str(self._model, key.encode(), value, len(value))
        return value.value.decode("utf-8", "replace") if count >= 0 else ""
