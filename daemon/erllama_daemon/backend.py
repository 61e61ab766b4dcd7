"""What the engine asks of an inference library: tokens in, logits and opaque state out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from erllama_daemon.messages import Sampling

Logits = npt.NDArray[np.float32]
"""One row of logits, shape (vocabulary size,)."""


class ModelRejected(Exception):
    """The library cannot load the file; the message says why, in the library's words."""


class ComputeFailed(Exception):
    """The library could not decode a batch or take back a state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendFacts:
    """What is fixed while a model is loaded. All of `type_k` to `threads` changes the bits of the KV cache."""

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


class Sampler(Protocol):
    """Chooses tokens for one request; owned and used by the engine's thread."""

    def sample(self, logits: Logits) -> int:
        """The next token, which the sampler also remembers (repetition penalty, random state)."""

    def close(self) -> None:
        """Frees native memory. A second call does nothing."""


class Backend(Protocol):
    """One loaded model and its KV buffer. Every call but `facts` belongs to the engine's thread.

    A sequence is a small integer; positions count from 0. Sequences share one buffer, and a state exported
    from one can be restored into any other that ends where the state begins.
    """

    @property
    def facts(self) -> BackendFacts:
        """What is fixed while the model is loaded."""

    def tokenize(self, text: str, *, first: bool) -> list[int]:
        """Tokens of `text`, control tokens recognised; `first` adds what the model wants at the very beginning."""

    def piece(self, token: int) -> bytes:
        """The UTF-8 bytes of a token, possibly a part of a character; empty for control tokens."""

    def control_text(self, token: int) -> str:
        """The written form of a token, control tokens included, as a chat template writes it."""

    def is_end(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""

    def decode(self, sequence: int, tokens: Sequence[int], start: int) -> Logits:
        """Appends `tokens` at position `start` and gives the logits after the last one (a copy).

        Raises ComputeFailed.
        """

    def export(self, sequence: int, start: int, end: int) -> memoryview:
        """The state of positions [start, end) of a sequence that ends at `end`."""

    def settle(self, sequence: int, payload: bytes | memoryview, start: int, end: int) -> None:
        """Leaves a sequence that ends at `end` as if its last state, just exported as `payload`, had been restored.

        Where state lies in the buffer shows in the last bits of what is computed from it. Raises ComputeFailed.
        """

    def restore(self, sequence: int, payload: bytes | memoryview, start: int, end: int) -> None:
        """Appends an exported state to a sequence that ends at `start`. Raises ComputeFailed."""

    def clear(self) -> None:
        """Forgets every sequence."""

    def sampler(self, sampling: Sampling, seed: int, recent: Sequence[int]) -> Sampler:
        """A new sampler that has seen the `recent` tokens."""

    def close(self) -> None:
        """Frees the model."""
