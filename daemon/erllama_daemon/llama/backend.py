"""llama.cpp as a backend, through the low-level functions of llama-cpp-python."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import llama_cpp

from erllama_daemon.choices import KV_NUMBER_BYTES
from erllama_daemon.engine.backend import BackendFacts, ModelRejected, Vector
from erllama_daemon.llama.adapters import LlamaAdapters
from erllama_daemon.llama.buffer import BufferShape, LlamaBuffer
from erllama_daemon.llama.embedder import LlamaEmbedder
from erllama_daemon.llama.log import native_log
from erllama_daemon.llama.sampler import LlamaSampler
from erllama_daemon.llama.vocabulary import LlamaVocabulary
from erllama_daemon.messages import FlashAttention, KvType, Sampling

_KV_SHARE_OF_MEMORY = 8
"""Unless the user says otherwise, one buffer takes at most this part of the free memory: there may be two of them."""

_SMALLEST_DEFAULT_CONTEXT = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaOptions:
    """How a model is loaded; see `frames.Configure`. `free_memory` in bytes bounds the default context."""

    batch_tokens: int
    context_size: int | None = None
    kv_type: KvType = "f16"
    flash_attention: FlashAttention = "auto"
    gpu_layers: int = -1
    threads: int | None = None
    mmap: bool = True
    free_memory: int = 1 << 34


class LlamaBackend:
    """One GGUF model. `on_progress` hears how much of it is loaded, from 0 to 1.

    Raises ModelRejected if the file cannot be loaded.
    """

    def __init__(
        self, path: Path, options: LlamaOptions, on_progress: Callable[[float], None] = lambda _progress: None
    ) -> None:
        self._log = native_log()
        self._options = options
        self._threads = options.threads or _cores()
        llama_cpp.llama_backend_init()
        self._model = self._load(path, on_progress)
        self._vocabulary = LlamaVocabulary(self._model)
        self._adapters = LlamaAdapters(self._model, self._log)
        self._embedder = LlamaEmbedder(self._model, self._threads, self._log)
        self._facts = self._collect_facts()

    @property
    def facts(self) -> BackendFacts:
        return self._facts

    @property
    def vocabulary(self) -> LlamaVocabulary:
        return self._vocabulary

    def new_buffer(self, sequences: int, *, prefills: bool) -> LlamaBuffer:
        shape = BufferShape(
            cells=self._facts.context_size,
            batch_tokens=self._options.batch_tokens if prefills else sequences,
            sequences=sequences,
            threads=self._threads,
            kv_type=self._options.kv_type,
            flash_attention=self._options.flash_attention,
        )
        return LlamaBuffer(self._model, shape, self._adapters, self._log)

    def sampler(self, sampling: Sampling, seed: int, recent: Sequence[int]) -> LlamaSampler:
        vocabulary = self._vocabulary
        return LlamaSampler(vocabulary.native, vocabulary.size, sampling, seed, recent, last_error=self._log.last_error)

    def embed(self, tokens: Sequence[int]) -> Vector:
        return self._embedder.embed(tokens)

    def load_adapter(self, path: Path) -> int:
        return self._adapters.load(path)

    def free_adapter(self, handle: int) -> None:
        self._adapters.free(handle)

    def close(self) -> None:
        self._adapters.close()
        self._embedder.close()
        llama_cpp.llama_model_free(self._model)

    def _load(self, path: Path, on_progress: Callable[[float], None]) -> llama_cpp.llama_model_p:
        def progressed(progress: float, _data: ctypes.c_void_p) -> bool:
            on_progress(progress)
            return True

        params = llama_cpp.llama_model_default_params()
        callback = llama_cpp.llama_progress_callback(progressed)
        params.progress_callback = callback
        params.n_gpu_layers = self._options.gpu_layers
        params.use_mmap = self._options.mmap
        # llama.cpp's AMX matrix product crashes on some processors (ggml-org/llama.cpp#20824), and its buffers can only
        # be refused together with the repacked ones.
        params.use_extra_bufts = b"AMX_INT8 = 1" not in llama_cpp.llama_print_system_info()
        model: llama_cpp.llama_model_p | None = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not model:
            raise ModelRejected(self._log.last_error() or "llama.cpp gave no reason")
        return model

    def _collect_facts(self) -> BackendFacts:
        model, options = self._model, self._options
        template = llama_cpp.llama_model_chat_template(model, None)
        description = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(model, description, len(description))
        parameters = llama_cpp.llama_model_n_params(model)
        bits = 8 * llama_cpp.llama_model_size(model) / parameters if parameters else 0.0
        has_recurrence = llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model)
        return BackendFacts(
            name="llama.cpp",
            context_size=self._context_size(),
            vocabulary_size=self._vocabulary.size,
            chat_template=template.decode() if template else None,
            bos_text=self._vocabulary.bos_text,
            eos_text=self._vocabulary.eos_text,
            quant_type=description.value.decode("utf-8", "replace").split(" ", 2)[-1],
            quant_bits=round(bits, 2),
            type_k=options.kv_type,
            type_v=options.kv_type,
            flash_attention=options.flash_attention,
            rope={"freq_scale_train": llama_cpp.llama_model_rope_freq_scale_train(model)},
            build=f"llama-cpp-python {llama_cpp.__version__}",
            device=self._device(),
            threads=self._threads,
            can_generate=self._embedder.can_generate,
            # Cells that a sliding window has passed are given to whoever needs some.
            shares_prefixes=not has_recurrence and llama_cpp.llama_model_n_swa(model) == 0,
            pooling=self._embedder.pooling,
            embedding_limit=self._embedder.limit,
        )

    def _device(self) -> str:
        info: str = llama_cpp.llama_print_system_info().decode()
        offloads = llama_cpp.llama_supports_gpu_offload()
        return f"{info} gpu_layers={self._options.gpu_layers}" if offloads else info

    def _context_size(self) -> int:
        """What was asked for; else what the model was trained for, as far as the free memory goes."""
        trained: int = llama_cpp.llama_model_n_ctx_train(self._model)
        if self._options.context_size is not None:
            return min(self._options.context_size, trained or self._options.context_size)
        heads = llama_cpp.llama_model_n_head(self._model)
        width = llama_cpp.llama_model_n_embd(self._model) / max(1, heads) * llama_cpp.llama_model_n_head_kv(self._model)
        token_bytes = 2 * width * llama_cpp.llama_model_n_layer(self._model) * KV_NUMBER_BYTES[self._options.kv_type]
        fitting = int(self._options.free_memory / _KV_SHARE_OF_MEMORY / max(1.0, token_bytes))
        fitting -= fitting % self._options.batch_tokens
        return min(trained or _SMALLEST_DEFAULT_CONTEXT, max(fitting, _SMALLEST_DEFAULT_CONTEXT))


def _cores() -> int:
    """The cores this process may use; hyper-threads do not speed up matrix products but are hard to tell apart."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
