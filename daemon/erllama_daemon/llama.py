"""llama.cpp as a backend, through the low-level functions of llama-cpp-python."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

import llama_cpp
import numpy as np

from erllama_daemon.backend import BackendFacts, ComputeFailed, Logits, ModelRejected
from erllama_daemon.llama_log import NativeLog
from erllama_daemon.llama_sampler import LlamaSampler
from erllama_daemon.messages import Sampling

SCRATCH = 1
"""The spare sequence through which states pass in and out."""

_MAX_SEQUENCES = 2
_MAX_PIECE_BYTES = 512


class LlamaBackend:
    """One GGUF model, its context and its unified KV buffer.

    `swa_full` and `kv_unified` make blocks exportable on every architecture: the copy to the scratch sequence
    only tags cells. Raises ModelRejected if the file cannot be loaded.
    """

    def __init__(self, path: Path, *, context_size: int, batch_tokens: int, threads: int | None = None) -> None:
        self._log = NativeLog()
        llama_cpp.llama_backend_init()
        self._threads = threads or _physical_cores()
        self._model = self._load(path)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        trained = llama_cpp.llama_model_n_ctx_train(self._model)
        self._context = self._new_context(min(context_size, trained or context_size), batch_tokens)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(batch_tokens, 0, 1)
        self._vocabulary_size = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self._facts = self._collect_facts()

    @property
    def facts(self) -> BackendFacts:
        return self._facts

    def tokenize(self, text: str, *, first: bool) -> list[int]:
        if first:
            tokens = self._tokenize(text, add_special=True)
            ends = tokens and llama_cpp.llama_vocab_get_add_eos(self._vocab) and self.is_end(tokens[-1])
            return tokens[:-1] if ends else tokens
        if llama_cpp.llama_vocab_type(self._vocab) == llama_cpp.LLAMA_VOCAB_TYPE_SPM:
            # SentencePiece begins every text with a space of its own; after a newline it does not.
            lead = self._tokenize("\n", add_special=False)
            tokens = self._tokenize("\n" + text, add_special=False)
            if tokens[: len(lead)] == lead:
                return tokens[len(lead) :]
        return self._tokenize(text, add_special=False)

    def _tokenize(self, text: str, *, add_special: bool) -> list[int]:
        data = text.encode()
        size = len(data) + 8
        while True:
            buffer = (llama_cpp.llama_token * size)()
            count = llama_cpp.llama_tokenize(self._vocab, data, len(data), buffer, size, add_special, True)
            if count >= 0:
                return buffer[:count]
            size = -count

    def piece(self, token: int) -> bytes:
        return self._piece(token, special=False)

    def control_text(self, token: int) -> str:
        return self._piece(token, special=True).decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))

    def decode(self, sequence: int, tokens: Sequence[int], start: int) -> Logits:
        batch, count = self._batch, len(tokens)
        batch.n_tokens = count
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = start + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = 0
        batch.logits[count - 1] = 1
        status = llama_cpp.llama_decode(self._context, batch)
        if status != 0:
            raise ComputeFailed(f"llama_decode returned {status} {self._log.last_error()}".rstrip())
        row = llama_cpp.llama_get_logits_ith(self._context, count - 1)
        return np.ctypeslib.as_array(row, shape=(self._vocabulary_size,)).copy()

    def export(self, sequence: int, start: int, end: int) -> memoryview:
        llama_cpp.llama_memory_seq_cp(self._memory, sequence, SCRATCH, start, end)
        try:
            size = llama_cpp.llama_state_seq_get_size(self._context, SCRATCH)
            state = np.empty(size, dtype=np.uint8)
            target = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
            if llama_cpp.llama_state_seq_get_data(self._context, target, size, SCRATCH) != size:
                raise ComputeFailed(f"llama.cpp wrote less than {size} bytes of state")
        finally:
            llama_cpp.llama_memory_seq_rm(self._memory, SCRATCH, -1, -1)
        return state.data

    def settle(self, sequence: int, payload: bytes | memoryview, start: int, end: int) -> None:
        # An exported state leaves out the cells that a sliding window has passed, so a restored sequence lies closer
        # together than one that was computed, and attention over it adds up in another order.
        if llama_cpp.llama_model_n_swa(self._model) == 0:
            return
        if not llama_cpp.llama_memory_seq_rm(self._memory, sequence, start, -1):
            raise ComputeFailed("a sliding window over a recurrent state cannot be put back block by block")
        self.restore(sequence, payload, start, end)

    def restore(self, sequence: int, payload: bytes | memoryview, start: int, end: int) -> None:
        data = np.frombuffer(payload, dtype=np.uint8)
        source, size = data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)), len(data)
        try:
            if llama_cpp.llama_state_seq_set_data(self._context, source, size, SCRATCH) == 0:
                raise ComputeFailed(f"llama.cpp refused a state of {size} bytes {self._log.last_error()}".rstrip())
            llama_cpp.llama_memory_seq_cp(self._memory, SCRATCH, sequence, start, end)
        finally:
            llama_cpp.llama_memory_seq_rm(self._memory, SCRATCH, -1, -1)
        if llama_cpp.llama_memory_seq_pos_max(self._memory, sequence) != end - 1:
            raise ComputeFailed(f"a restored state does not end at position {end - 1}")

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(self._memory, False)

    def sampler(self, sampling: Sampling, seed: int, recent: Sequence[int]) -> LlamaSampler:
        return LlamaSampler(self._vocabulary_size, sampling, seed, recent)

    def close(self) -> None:
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def _load(self, path: Path) -> llama_cpp.llama_model_p:
        params = llama_cpp.llama_model_default_params()
        # llama.cpp's AMX matrix product crashes on some processors (ggml-org/llama.cpp#20824), and its buffers can only
        # be refused together with the repacked ones.
        params.use_extra_bufts = b"AMX_INT8 = 1" not in llama_cpp.llama_print_system_info()
        model: llama_cpp.llama_model_p | None = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not model:
            raise ModelRejected(self._log.last_error() or "llama.cpp gave no reason")
        return model

    def _new_context(self, context_size: int, batch_tokens: int) -> llama_cpp.llama_context_p:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = context_size
        params.n_batch = params.n_ubatch = batch_tokens
        params.n_seq_max = _MAX_SEQUENCES
        params.n_threads = params.n_threads_batch = self._threads
        params.kv_unified = True
        params.swa_full = True
        params.no_perf = True
        context: llama_cpp.llama_context_p | None = llama_cpp.llama_init_from_model(self._model, params)
        if not context:
            raise ModelRejected(self._log.last_error() or "llama.cpp could not create a context")
        return context

    def _piece(self, token: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(_MAX_PIECE_BYTES)
        count = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, _MAX_PIECE_BYTES, 0, special)
        return buffer.raw[: max(count, 0)]

    def _token_text(self, token: int) -> str:
        return self.control_text(token) if token >= 0 else ""

    def _collect_facts(self) -> BackendFacts:
        template = llama_cpp.llama_model_chat_template(self._model, None)
        description = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self._model, description, len(description))
        parameters = llama_cpp.llama_model_n_params(self._model)
        bits = 8 * llama_cpp.llama_model_size(self._model) / parameters if parameters else 0.0
        return BackendFacts(
            name="llama.cpp",
            context_size=llama_cpp.llama_n_ctx(self._context),
            vocabulary_size=self._vocabulary_size,
            chat_template=template.decode() if template else None,
            bos_text=self._token_text(llama_cpp.llama_vocab_bos(self._vocab)),
            eos_text=self._token_text(llama_cpp.llama_vocab_eos(self._vocab)),
            quant_type=description.value.decode("utf-8", "replace").split(" ", 2)[-1],
            quant_bits=round(bits, 2),
            type_k="f16",
            type_v="f16",
            flash_attention="auto",
            rope={"freq_scale_train": llama_cpp.llama_model_rope_freq_scale_train(self._model)},
            build=f"llama-cpp-python {llama_cpp.__version__}",
            device=llama_cpp.llama_print_system_info().decode(),
            threads=self._threads,
        )


def _physical_cores() -> int:
    """The cores this process may use; hyper-threads do not speed up matrix products but are hard to tell apart."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
