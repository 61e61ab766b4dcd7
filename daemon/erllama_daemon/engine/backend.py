"""What the engine asks of an inference library: tokens in, logits and opaque state out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from erllama_daemon.messages import Sampling

Logits = npt.NDArray[np.float32]
"""One row of logits, shape (vocabulary size,)."""

Vector = npt.NDArray[np.float32]
"""One embedding, shape (embedding length,)."""


class ModelRejected(Exception):
    """The library cannot load the file; the message says why, in the library's words."""


class ComputeFailed(Exception):
    """The library could not decode a batch or take back a state."""


class AdapterRejected(Exception):
    """The library cannot load an adapter's file for this model; the message says why, in the library's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendFacts:
    """What is fixed while a model is loaded. All of `type_k` to `threads` changes the bits of the KV cache.

    `context_size` is the longest sequence in tokens, `embedding_limit` the longest text to embed. `shares_prefixes`
    says that what a sequence held at any earlier position is still there, however far it has gone on.
    """

    name: str
    context_size: int
    vocabulary_size: int
    chat_template: str | None
    bos_text: str
    eos_text: str
    quant_type: str
    quant_bits: float
    type_k: str
    type_v: str
    flash_attention: str
    rope: dict[str, float]
    build: str
    device: str
    threads: int
    can_generate: bool = True
    shares_prefixes: bool = True
    pooling: str = "none"
    embedding_limit: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive tokens of one sequence in a batch, the first one at position `start`."""

    sequence: int
    tokens: Sequence[int]
    start: int


AdapterSet = tuple[tuple[int, float], ...]
"""Adapters in use together: the backend's handles and their scales, in the order of the files' SHA-256."""


class Vocabulary(Protocol):
    """A model's tokens. It never changes, so any thread may ask."""

    def tokenize(self, text: str, *, first: bool) -> list[int]:
        """Tokens of `text`, control tokens recognised; `first` adds what the model wants at the very beginning."""

    def piece(self, token: int) -> bytes:
        """The UTF-8 bytes of a token, possibly a part of a character; empty for control tokens."""

    def control_text(self, token: int) -> str:
        """The written form of a token, control tokens included, as a chat template writes it."""

    def is_end(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""


class Sampler(Protocol):
    """Chooses tokens for one request; owned and used by the engine's thread."""

    def sample(self, logits: Logits) -> int:
        """The next token, which the sampler also remembers (repetition penalty, grammar, random state).

        Raises GrammarInvalid and JsonSchemaInvalid if the grammar leaves no token to choose.
        """

    def follow(self, grammar: str) -> None:
        """Has all that is sampled from now on follow a grammar, and nothing after its end but the end of the answer.

        It is GBNF that llama.cpp can be trusted with, and there is none yet. Raises JsonSchemaInvalid.
        """

    def close(self) -> None:
        """Frees native memory. A second call does nothing."""


class Buffer(Protocol):
    """One KV buffer and the sequences in it; every call belongs to the engine's thread.

    A sequence is a small integer; positions count from 0. A state exported from one sequence can be restored into any
    other of the same backend, in this buffer or another, that ends where the state begins.
    """

    def decode(self, runs: Sequence[Run]) -> list[Logits]:
        """Appends each run to its sequence, all in one batch, and gives the logits after each one's end.

        They are views into the buffer, good until it decodes again. Raises ComputeFailed.
        """

    def export(self, sequence: int, start: int, end: int) -> memoryview:
        """The state of positions [start, end) of a sequence that ends at `end`. Raises ComputeFailed."""

    def settle(self, sequence: int, payload: bytes | memoryview, start: int, end: int) -> None:
        """Leaves a sequence that ends at `end` as if its last state, just exported as `payload`, had been restored.

        Where state lies in the buffer shows in the last bits of what is computed from it. Raises ComputeFailed.
        """

    def restore(self, sequence: int, payload: bytes | memoryview, start: int, end: int) -> None:
        """Appends an exported state to a sequence that ends at `start`. Raises ComputeFailed."""

    def share(self, source: int, target: int, end: int) -> None:
        """Makes the cells of the first `end` positions of `source` belong to the empty sequence `target` as well."""

    def remove(self, sequence: int) -> None:
        """Forgets one sequence. Cells that no other sequence shares are free again."""

    def clear(self) -> None:
        """Forgets every sequence."""

    def use_adapters(self, adapters: AdapterSet) -> None:
        """Applies exactly these adapters to what is decoded from now on."""

    def close(self) -> None:
        """Frees the buffer."""


class Backend(Protocol):
    """One loaded model. Calls belong to the engine's thread, but for `facts` and `vocabulary`."""

    @property
    def facts(self) -> BackendFacts:
        """What is fixed while the model is loaded."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Text to tokens and back."""

    def new_buffer(self, sequences: int, *, prefills: bool) -> Buffer:
        """An empty KV buffer of `context_size` cells for that many sequences.

        One that never `prefills` decodes at most one token of each sequence at a time. Raises ComputeFailed for want
        of memory.
        """

    def sampler(self, sampling: Sampling, seed: int, recent: Sequence[int]) -> Sampler:
        """A new sampler that has seen the `recent` tokens. Raises GrammarInvalid and JsonSchemaInvalid."""

    def embed(self, tokens: Sequence[int]) -> Vector:
        """The pooled embedding of a text, of length 1. Raises ComputeFailed."""

    def load_adapter(self, path: Path) -> int:
        """Loads a LoRA adapter; the handle is the backend's own. Raises AdapterRejected."""

    def free_adapter(self, handle: int) -> None:
        """Frees an adapter that no buffer uses any more."""

    def close(self) -> None:
        """Frees the model. Buffers must have been closed."""
