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
from erllama_cache.blockfiles import BlockFiles
from erllama_cache.keys import KEY_BYTES, BlockKind, pack_tokens
from erllama_cache.store import Store
from erllama_daemon.engine.backend import Run
from erllama_daemon.llama.backend import LlamaBackend, LlamaOptions
from erllama_daemon.llama.buffer import LlamaBuffer
from erllama_daemon.models.file import find_model

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
            contest = Contest(buffer, blocks, in_ram, on_disk, paths)
            steps = contest.steps()
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
    blocks: Sequence[Block]
    in_ram: Store
    on_disk: Store
    paths: Sequence[Path]

    def steps(self) -> dict[str, Callable[[], None]]:
        """What is timed, by name."""
        payloads = [np.frombuffer(block.payload, dtype=np.uint8) for block in self.blocks]
        targets = [payload.copy() for payload in payloads]
        buffers = [bytearray(path.stat().st_size) for path in self.paths]
        return {
            "restore from RAM": lambda: self._restore(self.in_ram),
            "restore from disk": lambda: self._restore(self.on_disk),
            "load from disk": lambda: self._load(),
            "copy": lambda: _copy(payloads, targets),
            "copy anew": lambda: _copy_anew(payloads),
            "read": lambda: self._read(),
            "read again": lambda: self._read_into(buffers),
        }

    def _restore(self, store: Store) -> None:
        self.buffer.clear()
        for block in self.blocks:
            found = store.load(block.key)
            assert found is not None
            self.buffer.restore(0, found.payload, found.start, found.end)

    def _load(self) -> None:
        for block in self.blocks:
            assert self.on_disk.load(block.key) is not None

    def _read(self) -> None:
        for path in self.paths:
            with path.open("rb", buffering=0) as file:
                file.read()

    def _read_into(self, buffers: Sequence[bytearray]) -> None:
        for path, buffer in zip(self.paths, buffers, strict=True):
            with path.open("rb", buffering=0) as file:
                file.readinto(buffer)


def _copy(payloads: Sequence[npt.NDArray[np.uint8]], targets: Sequence[npt.NDArray[np.uint8]]) -> None:
    for payload, target in zip(payloads, targets, strict=True):
        np.copyto(target, payload)


def _copy_anew(payloads: Sequence[npt.NDArray[np.uint8]]) -> None:
    for payload in payloads:
        payload.copy()


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
        line("load from disk and restore, over open and read into new memory", "restore from disk", "read", half),
        line("load from disk and restore, over open and read into memory in use", "restore from disk", "read again"),
        rate("memcpy into memory in use", "copy"),
        rate("open and read into new memory", "read"),
        Measurement(what=f"restore {tokens:,} tokens from RAM", unit="ms", samples=taken["restore from RAM"]),
        Measurement(what=f"restore {tokens:,} tokens from disk", unit="ms", samples=taken["restore from disk"]),
    ]
