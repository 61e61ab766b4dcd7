"""How fast a chain comes back, from memory and from disk, beside copying and reading the same bytes and nothing else.

The chain is a real one: blocks of 256 tokens that the real model has read. Every round does everything once, forwards
and backwards in turn; the files are in the system's page cache.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from figures import Goal, Measurement
from own_daemon import MODEL

from erllama_cache.block import Block, SaveReason
from erllama_cache.disk.files import BlockFiles
from erllama_cache.keys import KEY_BYTES, BlockKind, pack_tokens
from erllama_cache.store import Store
from erllama_daemon.catalog.find import find_model
from erllama_daemon.engine.backend import Run
from erllama_daemon.llama.backend import LlamaBackend, LlamaOptions
from erllama_daemon.llama.buffer import LlamaBuffer

BLOCK_TOKENS = 256
ROOT = bytes(KEY_BYTES)
MB = 1_000_000


def measure_restore(tokens: int, rounds: int) -> list[Measurement]:
    """Reads so many tokens, saves their blocks, and restores them again and again."""
    with tempfile.TemporaryDirectory(prefix="erl-") as name, real_buffer(tokens) as buffer:
        directory = Path(name)
        blocks = _read(buffer, tokens)
        size = sum(memoryview(block.payload).nbytes for block in blocks)
        with (
            Store(directory, ram_bytes=2 * size, disk_bytes=1 << 50) as in_ram,
            Store(directory, ram_bytes=0, disk_bytes=1 << 50) as on_disk,
        ):
            for block in blocks:
                in_ram.save(block, wait=True)
            assert in_ram.flush()
            paths = [BlockFiles(directory).path(block.key) for block in blocks]
            keys, payloads = [block.key for block in blocks], [block.payload for block in blocks]
            steps = Contest(buffer, keys, payloads, in_ram, on_disk, paths).steps()
            for step in steps.values():
                step()  # warms up
            taken: dict[str, list[float]] = {what: [] for what in steps}
            for number in range(rounds):
                for what in steps if number % 2 == 0 else reversed(steps):
                    started = time.perf_counter()
                    steps[what]()
                    taken[what].append(1000 * (time.perf_counter() - started))
    return _measurements(taken, tokens, size)


@contextmanager
def real_buffer(tokens: int) -> Iterator[LlamaBuffer]:
    """An empty KV buffer of the real model with room for so many tokens, loaded as a worker loads it."""
    options = LlamaOptions(batch_tokens=BLOCK_TOKENS, context_size=tokens + BLOCK_TOKENS)
    backend = LlamaBackend(find_model(MODEL), options)
    buffer = backend.new_buffer(1, prefills=True)
    try:
        yield buffer
    finally:
        buffer.close()
        backend.close()


@dataclass(frozen=True, slots=True)
class Contest:
    """The same chain in the hands of everybody who takes part."""

    buffer: LlamaBuffer
    keys: Sequence[bytes]
    payloads: Sequence[bytes | memoryview]
    in_ram: Store
    on_disk: Store
    paths: Sequence[Path]

    def steps(self) -> dict[str, Callable[[], object]]:
        """What is timed, by name."""
        payloads = [np.frombuffer(payload, dtype=np.uint8) for payload in self.payloads]
        targets = [payload.copy() for payload in payloads]
        return {
            "restore from RAM": lambda: self._restore(self.in_ram),
            "restore from disk": lambda: self._restore(self.on_disk),
            "load from disk": lambda: self._load(self.on_disk),
            "copy": lambda: _copy(payloads, targets),
            "copy anew": lambda: _copy_anew(payloads),
            "read": lambda: self._read(),
        }

    # Whoever takes new memory holds all of it to the end, or the same few megabytes would be filled again and again
    # and never leave the processor's own cache.
    def _restore(self, store: Store) -> None:
        self.buffer.clear()
        for block in self._load(store):
            self.buffer.restore(0, block.payload, block.start, block.end)

    def _load(self, store: Store) -> list[Block]:
        found = [block for key in self.keys if (block := store.load(key)) is not None]
        assert len(found) == len(self.keys)
        return found

    def _read(self) -> list[bytes]:
        found = []
        for path in self.paths:
            with path.open("rb", buffering=0) as file:
                found.append(file.read())
        return found


def _copy(payloads: Sequence[npt.NDArray[np.uint8]], targets: Sequence[npt.NDArray[np.uint8]]) -> None:
    for payload, target in zip(payloads, targets, strict=True):
        np.copyto(target, payload)


def _copy_anew(payloads: Sequence[npt.NDArray[np.uint8]]) -> list[npt.NDArray[np.uint8]]:
    return [payload.copy() for payload in payloads]


def _read(buffer: LlamaBuffer, count: int) -> list[Block]:
    """Tokens that mean nothing, read by the model and exported block by block."""
    drawn = random.Random(4)  # noqa: S311 - nothing secret
    tokens = [drawn.randrange(1000, 40_000) for _ in range(count)]
    blocks: list[Block] = []
    for start in range(0, count, BLOCK_TOKENS):
        some = tokens[start : start + BLOCK_TOKENS]
        buffer.decode([Run(0, some, start)])
        blocks.append(
            Block(
                root=ROOT,
                parent=blocks[-1].key if blocks else ROOT,
                kind=BlockKind.PREFILL,
                start=start,
                tokens=pack_tokens(some),
                reason=SaveReason.COLD,
                payload=buffer.export(0, start, start + len(some)),
            )
        )
    return blocks


def _measurements(taken: dict[str, list[float]], tokens: int, size: int) -> list[Measurement]:
    half = Goal(">=", 0.5)

    def line(what: str, ours: str, theirs: str, goal: Goal | None = None) -> Measurement:
        # The speed's ratio is the time's upside down.
        samples = [other / own for own, other in zip(taken[ours], taken[theirs], strict=True)]
        return Measurement(what=what, unit="×", samples=samples, goal=goal)

    def rate(what: str, step: str) -> Measurement:
        return Measurement(what=what, unit="GB/s", samples=[size / MB / ms for ms in taken[step]])

    return [
        line("restore from RAM, over memcpy into memory in use", "restore from RAM", "copy", half),
        line("restore from RAM, over memcpy into new memory", "restore from RAM", "copy anew"),
        line("load from disk, over open and read into new memory", "load from disk", "read", half),
        line("load from disk and restore, over open and read into new memory", "restore from disk", "read"),
        rate("memcpy into memory in use", "copy"),
        rate("open and read into new memory", "read"),
        Measurement(what=f"restore {tokens:,} tokens from RAM", unit="ms", samples=taken["restore from RAM"]),
        Measurement(what=f"restore {tokens:,} tokens from disk", unit="ms", samples=taken["restore from disk"]),
    ]
