"""A llama.cpp context: one unified KV buffer, the sequences in it, and how their state gets in and out."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp
import numpy as np

from erllama_daemon.engine.backend import AdapterSet, ComputeFailed, Logits, Run
from erllama_daemon.llama.adapters import LlamaAdapters
from erllama_daemon.llama.log import NativeLog
from erllama_daemon.messages import FlashAttention, KvType

_KV_TYPES: dict[KvType, int] = {
    "f32": llama_cpp.GGML_TYPE_F32,
    "f16": llama_cpp.GGML_TYPE_F16,
    "bf16": 30,  # GGML_TYPE_BF16, which llama-cpp-python does not name
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
    "q5_1": llama_cpp.GGML_TYPE_Q5_1,
    "q5_0": llama_cpp.GGML_TYPE_Q5_0,
    "q4_1": llama_cpp.GGML_TYPE_Q4_1,
    "q4_0": llama_cpp.GGML_TYPE_Q4_0,
}
_FLASH_ATTENTION: dict[FlashAttention, int] = {
    "auto": llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferShape:
    """How large a buffer is, and how it computes. Sizes in tokens."""

    cells: int
    batch_tokens: int
    sequences: int
    threads: int
    kv_type: KvType
    flash_attention: FlashAttention


class LlamaBuffer:
    """One context. The sequence after the last one is the scratch through which states pass in and out.

    `swa_full` and `kv_unified` make blocks exportable on every architecture: the copy to the scratch sequence
    only tags cells. Raises ComputeFailed if llama.cpp cannot create it.
    """

    def __init__(
        self, model: llama_cpp.llama_model_p, shape: BufferShape, adapters: LlamaAdapters, log: NativeLog
    ) -> None:
        self._model = model
        self._adapters = adapters
        self._log = log
        self._scratch = shape.sequences
        self._context = self._new_context(shape)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(shape.batch_tokens, 0, 1)
        self._vocabulary_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self._applied: AdapterSet = ()
        adapters.users.add(self)

    @property
    def applied(self) -> AdapterSet:
        """The adapters that the next decode uses."""
        return self._applied

    def decode(self, runs: Sequence[Run]) -> list[Logits]:
        last_rows = self._fill_batch(runs)
        status = llama_cpp.llama_decode(self._context, self._batch)
        if status != 0:
            raise ComputeFailed(f"llama_decode returned {status} {self._log.last_error()}".rstrip())
        return [self._logits(row) for row in last_rows]

    def export(self, sequence: int, start: int, end: int) -> memoryview:
        llama_cpp.llama_memory_seq_cp(self._memory, sequence, self._scratch, start, end)
        try:
            size = llama_cpp.llama_state_seq_get_size(self._context, self._scratch)
            state = np.empty(size, dtype=np.uint8)
            target = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
            if llama_cpp.llama_state_seq_get_data(self._context, target, size, self._scratch) != size:
                raise ComputeFailed(f"llama.cpp wrote less than {size} bytes of state")
        finally:
            self.remove(self._scratch)
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
            if llama_cpp.llama_state_seq_set_data(self._context, source, size, self._scratch) == 0:
                raise ComputeFailed(f"llama.cpp refused a state of {size} bytes {self._log.last_error()}".rstrip())
            llama_cpp.llama_memory_seq_cp(self._memory, self._scratch, sequence, start, end)
        finally:
            self.remove(self._scratch)
        if llama_cpp.llama_memory_seq_pos_max(self._memory, sequence) != end - 1:
            raise ComputeFailed(f"a restored state does not end at position {end - 1}")

    def share(self, source: int, target: int, end: int) -> None:
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def remove(self, sequence: int) -> None:
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(self._memory, False)

    def use_adapters(self, adapters: AdapterSet) -> None:
        if adapters == self._applied:
            return
        # First none: llama.cpp tells adapters apart by address, and a freed one's may have been given out again.
        llama_cpp.llama_set_adapters_lora(self._context, None, 0, None)
        if adapters:
            natives: list[Any] = [self._adapters.native(handle) for handle, _scale in adapters]
            pointers = (llama_cpp.llama_adapter_lora_p_ctypes * len(natives))(*natives)
            scales = (ctypes.c_float * len(adapters))(*(scale for _handle, scale in adapters))
            llama_cpp.llama_set_adapters_lora(self._context, pointers, len(natives), scales)
        self._applied = adapters

    def close(self) -> None:
        self._adapters.users.discard(self)
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)

    def _fill_batch(self, runs: Sequence[Run]) -> list[int]:
        """Writes the runs into the batch and gives the rows whose logits are asked for."""
        batch, row, last_rows = self._batch, 0, []
        for run in runs:
            for offset, token in enumerate(run.tokens):
                batch.token[row] = token
                batch.pos[row] = run.start + offset
                batch.n_seq_id[row] = 1
                batch.seq_id[row][0] = run.sequence
                batch.logits[row] = 0
                row += 1
            batch.logits[row - 1] = 1
            last_rows.append(row - 1)
        batch.n_tokens = row
        return last_rows

    def _logits(self, row: int) -> Logits:
        pointer = llama_cpp.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(pointer, shape=(self._vocabulary_size,))

    def _new_context(self, shape: BufferShape) -> llama_cpp.llama_context_p:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = shape.cells
        params.n_seq_max = shape.sequences + 1
        # llama.cpp asserts that a batch can ask for the logits of every sequence, the scratch one included.
        params.n_batch = params.n_ubatch = max(shape.batch_tokens, shape.sequences + 1)
        params.n_threads = params.n_threads_batch = shape.threads
        params.type_k = params.type_v = _KV_TYPES[shape.kv_type]
        params.flash_attn_type = _FLASH_ATTENTION[shape.flash_attention]
        params.kv_unified = True
        params.swa_full = True
        params.no_perf = True
        context: llama_cpp.llama_context_p | None = llama_cpp.llama_init_from_model(self._model, params)
        if not context:
            raise ComputeFailed(self._log.last_error() or "llama.cpp could not create a context")
        return context
