"""LoRA adapters as llama.cpp loads them."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Protocol

import llama_cpp

from erllama_daemon.engine.backend import AdapterRejected, AdapterSet
from erllama_daemon.llama.log import NativeLog


class AdapterUser(Protocol):
    """A context that applies adapters."""

    @property
    def applied(self) -> AdapterSet:
        """The adapters that the next decode uses."""

    def use_adapters(self, adapters: AdapterSet) -> None:
        """Applies exactly these from now on."""


class LlamaAdapters:
    """The adapters of one model. A handle is never given out twice."""

    def __init__(self, model: llama_cpp.llama_model_p, log: NativeLog) -> None:
        self.users: set[AdapterUser] = set()
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
        """Frees an adapter, after taking it off every context that still applies it."""
        for user in self.users:
            if any(applied == handle for applied, _scale in user.applied):
                user.use_adapters(())
        llama_cpp.llama_adapter_lora_free(self._natives.pop(handle))

    def close(self) -> None:
        """Frees what is left."""
        for handle in list(self._natives):
            self.free(handle)
