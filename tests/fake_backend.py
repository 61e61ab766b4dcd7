"""A backend without a model: its logits depend on every token before, and on how they were cut into batches.

That is what real backends do, so a test that restores what was cut elsewhere sees other logits.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

import numpy as np

from erllama_daemon.backend import BackendFacts, ComputeFailed, Logits
from erllama_daemon.messages import Sampling

END = 256
VOCABULARY = 257
CHAT_TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


class FakeSampler:
    """Greedy, unless an answer is scripted."""

    def __init__(self, script: list[int]) -> None:
        self._script = script

    def sample(self, logits: Logits) -> int:
        return self._script.pop(0) if self._script else int(np.argmax(logits[:END]))

    def close(self) -> None:
        """Nothing to free."""


class FakeBackend:
    """Tokens are bytes; a sequence's state is a hash over the batches that were decoded into it."""

    def __init__(self, *, context_size: int = 512, chat_template: str | None = CHAT_TEMPLATE) -> None:
        self.decodes: list[tuple[int, int]] = []
        self.answers: list[list[int]] = []
        self.fail_next_decode = False
        self.fail_next_restore = False
        self.fail_next_export = False
        self.fail_decode_of: int | None = None
        self.pause_after_decodes: int | None = None
        self.resumed = threading.Event()
        self._sequences: dict[int, tuple[int, bytes]] = {}
        self._facts = BackendFacts(
            name="fake",
            context_size=context_size,
            vocabulary_size=VOCABULARY,
            chat_template=chat_template,
            bos_text="",
            eos_text="",
            quant_type="F32",
            quant_bits=32.0,
            type_k="f16",
            type_v="f16",
            flash_attention="auto",
            rope={},
            build="fake",
            device="none",
            threads=1,
        )

    @property
    def facts(self) -> BackendFacts:
        return self._facts

    def answer_with(self, text: str, *, end: bool = True) -> None:
        """Scripts the next answer."""
        self.answers.append([*text.encode(), *([END] if end else [])])

    def tokenize(self, text: str, *, first: bool) -> list[int]:
        return list(text.encode())

    def piece(self, token: int) -> bytes:
        return b"" if token == END else bytes([token])

    def control_text(self, token: int) -> str:
        return "<end>" if token == END else chr(token)

    def is_end(self, token: int) -> bool:
        return token == END

    def decode(self, sequence: int, tokens: Sequence[int], start: int) -> Logits:
        if self.fail_next_decode or tokens[-1] == self.fail_decode_of:
            self.fail_next_decode, self.fail_decode_of = False, None
            raise ComputeFailed("told to fail")
        end, state = self._sequences.get(sequence, (0, b""))
        assert start == end, f"a gap: the sequence ends at {end}, the batch starts at {start}"
        assert start + len(tokens) <= self._facts.context_size
        state = hashlib.sha256(state + repr(list(tokens)).encode()).digest()
        self._sequences[sequence] = (start + len(tokens), state)
        self.decodes.append((start, start + len(tokens)))
        if len(self.decodes) == self.pause_after_decodes:
            assert self.resumed.wait(30)
        return np.random.default_rng(list(state)).random(VOCABULARY, dtype=np.float32)

    def export(self, sequence: int, start: int, end: int) -> memoryview:
        if self.fail_next_export:
            self.fail_next_export = False
            raise ComputeFailed("told to fail")
        current, state = self._sequences[sequence]
        assert current == end, "a block is exported at the moment when its sequence ends there"
        return memoryview(start.to_bytes(4, "little") + end.to_bytes(4, "little") + state)

    def settle(self, sequence: int, payload: bytes | memoryview, start: int, end: int) -> None:
        assert payload == self.export(sequence, start, end)

    def restore(self, sequence: int, payload: bytes | memoryview, start: int, end: int) -> None:
        if self.fail_next_restore:
            self.fail_next_restore = False
            raise ComputeFailed("told to refuse")
        data = bytes(payload)
        assert (start, end) == (int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little"))
        assert self._sequences.get(sequence, (0, b""))[0] == start
        self._sequences[sequence] = (end, data[8:])

    def clear(self) -> None:
        self._sequences.clear()

    def sampler(self, sampling: Sampling, seed: int, recent: Sequence[int]) -> FakeSampler:
        return FakeSampler(self.answers.pop(0) if self.answers else [])

    def close(self) -> None:
        self.clear()
