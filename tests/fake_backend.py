"""A backend without a model: its logits depend on every token before, and on how they were cut into batches.

That is what real backends do, so a test that restores what was cut elsewhere sees other logits.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from erllama_daemon.engine.backend import AdapterSet, BackendFacts, ComputeFailed, Logits, Run, Vector
from erllama_daemon.errors import GrammarInvalid
from erllama_daemon.messages import Sampling

END = 256
VOCABULARY = 257
CHAT_TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


class FakeSampler:
    """Greedy, unless an answer is scripted. `grammars` are those that it was told to follow."""

    def __init__(self, script: list[int], grammars: list[str]) -> None:
        self._script = script
        self._grammars = grammars

    def sample(self, logits: Logits) -> int:
        return self._script.pop(0) if self._script else int(np.argmax(logits[:END]))

    def follow(self, grammar: str) -> None:
        self._grammars.append(grammar)

    def close(self) -> None:
        """Nothing to free."""


class FakeVocabulary:
    """Tokens are bytes, and one token ends an answer."""

    def tokenize(self, text: str, *, first: bool) -> list[int]:
        return list(text.encode())

    def piece(self, token: int) -> bytes:
        return b"" if token == END else bytes([token])

    def control_text(self, token: int) -> str:
        return "<end>" if token == END else chr(token)

    def is_end(self, token: int) -> bool:
        return token == END


@dataclass
class FakeSequence:
    """The state after each batch, by the position where it ended, and the cells in use."""

    states: dict[int, bytes] = field(default_factory=dict)
    cells: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        return len(self.cells)

    @property
    def state(self) -> bytes:
        return self.states.get(self.end, b"")


class FakeBuffer:
    """A sequence's state is a hash over the batches that were decoded into it, and over the company they had."""

    def __init__(self, backend: FakeBackend, sequences: int) -> None:
        self.sequences: dict[int, FakeSequence] = {}
        self.adapters: AdapterSet = ()
        self._backend = backend
        self._limit = sequences
        self._next_cell = itertools.count()

    def decode(self, runs: Sequence[Run]) -> list[Logits]:
        self._backend.before_decode(runs)
        return [self._decode(run) for run in runs]

    def _decode(self, run: Run) -> Logits:
        sequence = self._sequence(run.sequence)
        assert run.start == sequence.end, f"a gap: the sequence ends at {sequence.end}, the batch starts at {run.start}"
        others = sorted(other.end for number, other in self.sequences.items() if number != run.sequence and other.end)
        said = repr((list(run.tokens), others, self.adapters)).encode()
        state = hashlib.sha256(sequence.state + said).digest()
        self._grow(sequence, len(run.tokens), state)
        return np.random.default_rng(list(state)).random(VOCABULARY, dtype=np.float32)

    def export(self, sequence: int, start: int, end: int) -> memoryview:
        if self._backend.fail_next_export:
            self._backend.fail_next_export = False
            raise ComputeFailed("told to fail")
        state = self.sequences[sequence].states.get(end)
        if state is None:
            raise ComputeFailed("a state that was restored as a whole has no parts")
        return memoryview(start.to_bytes(4, "little") + end.to_bytes(4, "little") + state)

    def settle(self, sequence: int, payload: bytes | memoryview, start: int, end: int) -> None:
        assert bytes(payload)[8:] == self.sequences[sequence].states[end]

    def restore(self, sequence: int, payload: bytes | memoryview, start: int, end: int) -> None:
        if self._backend.fail_next_restore:
            self._backend.fail_next_restore = False
            raise ComputeFailed("told to refuse")
        data = bytes(payload)
        assert (start, end) == (int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little"))
        assert self._sequence(sequence).end == start
        self._grow(self._sequence(sequence), end - start, data[8:])

    def share(self, source: int, target: int, end: int) -> None:
        lender, borrower = self.sequences[source], self._sequence(target)
        assert borrower.end == 0
        borrower.cells = lender.cells[:end]
        borrower.states = {position: state for position, state in lender.states.items() if position <= end}
        self._backend.shared.append(end)

    def remove(self, sequence: int) -> None:
        self.sequences.pop(sequence, None)

    def clear(self) -> None:
        self.sequences.clear()

    def use_adapters(self, adapters: AdapterSet) -> None:
        self.adapters = adapters

    def close(self) -> None:
        self.clear()

    @property
    def used_cells(self) -> int:
        return len({cell for sequence in self.sequences.values() for cell in sequence.cells})

    def _sequence(self, number: int) -> FakeSequence:
        assert 0 <= number < self._limit
        return self.sequences.setdefault(number, FakeSequence())

    def _grow(self, sequence: FakeSequence, tokens: int, state: bytes) -> None:
        sequence.cells += itertools.islice(self._next_cell, tokens)
        sequence.states[sequence.end] = state
        assert self.used_cells <= self._backend.facts.context_size, "more cells than the buffer has"


class FakeBackend:
    """A model of no weights. `buffers` are all that were created."""

    def __init__(self, *, context_size: int = 512, chat_template: str | None = CHAT_TEMPLATE) -> None:
        self.buffers: list[FakeBuffer] = []
        self.decodes: list[tuple[int, int]] = []
        self.batches: list[int] = []
        self.shared: list[int] = []
        self.answers: list[list[int]] = []
        self.grammars: list[str] = []
        self.adapters: dict[int, Path] = {}
        self.fail_next_decode = False
        self.fail_next_shared_batch = False
        self.fail_next_restore = False
        self.fail_next_export = False
        self.fail_next_buffer = False
        self.fail_decode_of: int | None = None
        self.pause_after_decodes: int | None = None
        self.resumed = threading.Event()
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
            pooling="mean",
            embedding_limit=64,
        )

    @property
    def facts(self) -> BackendFacts:
        return self._facts

    @property
    def vocabulary(self) -> FakeVocabulary:
        return FakeVocabulary()

    @property
    def solo(self) -> FakeBuffer:
        return self.buffers[0]

    def answer_with(self, text: str, *, end: bool = True) -> None:
        """Scripts the next answer."""
        self.answers.append([*text.encode(), *([END] if end else [])])

    def before_decode(self, runs: Sequence[Run]) -> None:
        """Counts a batch, and does to it what the test asked for."""
        is_marked = any(run.tokens[-1] == self.fail_decode_of for run in runs)
        if self.fail_next_decode or is_marked or (self.fail_next_shared_batch and len(runs) > 1):
            self.fail_next_decode, self.fail_decode_of, self.fail_next_shared_batch = False, None, False
            raise ComputeFailed("told to fail")
        self.batches.append(len(runs))
        self.decodes += [(run.start, run.start + len(run.tokens)) for run in runs]
        if self.pause_after_decodes is not None and len(self.decodes) >= self.pause_after_decodes:
            assert self.resumed.wait(30)

    def new_buffer(self, sequences: int, *, prefills: bool) -> FakeBuffer:
        if self.fail_next_buffer and not prefills:
            raise ComputeFailed("told to have no memory")
        self.buffers.append(FakeBuffer(self, sequences))
        return self.buffers[-1]

    def sampler(self, sampling: Sampling, seed: int, recent: Sequence[int]) -> FakeSampler:
        if sampling.grammar == "nonsense":
            raise GrammarInvalid(reason="told to refuse")
        return FakeSampler(self.answers.pop(0) if self.answers else [], self.grammars)

    def embed(self, tokens: Sequence[int]) -> Vector:
        vector = np.array([len(tokens), sum(tokens) % 7 + 1], dtype=np.float32)
        return vector / np.float32(np.linalg.norm(vector))

    def load_adapter(self, path: Path) -> int:
        handle = len(self.adapters) + 1
        self.adapters[handle] = path
        return handle

    def free_adapter(self, handle: int) -> None:
        self.adapters[handle] = Path()

    def close(self) -> None:
        self.buffers.clear()
