"""LoRA adapters as llama.cpp loads them."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import llama_cpp

from erllama_daemon.backend import AdapterRejected
from erllama_daemon.llama_log import NativeLog

if TYPE_CHECKING:
    from erllama_daemon.llama_buffer import LlamaBuffer


class LlamaAdapters:
    """The adapters of one model. A handle is never given out twice."""

    def __init__(self, model: llama_cpp.llama_model_p, log: NativeLog) -> None:
        self.buffers: set[LlamaBuffer] = set()
        self._model = model
        self._log = log
        self._natives: dict[int, llama_cpp.llama_adapter_lora_p] = {}
        self._handles = itertools.count(1)

    def load(self, path: Path) -> int:
        """Loads a GGUF file. Raises AdapterRejected."""
        native = llama_cpp.llama_adapter_lora_init(self._model, os.fsencode(path))
        if not native:
            raise AdapterRejected(self._log.last_error() or "llama.cpp gave no reason")
        handle = next(self._handles)
        self._natives[handle] = native
        return handle

    def native(self, handle: int) -> llama_cpp.llama_adapter_lora_p:
        """What llama.cpp calls the adapter."""
        return self._natives[handle]

    def free(self, handle: int) -> None:
        """Frees an adapter, after taking it off every buffer that still applies it."""
        for buffer in self.buffers:
            if any(applied == handle for applied, _scale in buffer.applied):
                buffer.use_adapters(())
        llama_cpp.llama_adapter_lora_free(self._natives.pop(handle))

    def close(self) -> None:
        """Frees what is left."""
        for handle in list(self._natives):
            self.free(handle)
