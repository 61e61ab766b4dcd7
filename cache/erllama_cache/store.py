"""The store: both tiers and the writer behind one door."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from erllama_cache.block import Block
from erllama_cache.chains import longest_chain, resumed_chain, strict_chain, whole_wording
from erllama_cache.counters import Tally
from erllama_cache.disk.departure import Departure
from erllama_cache.disk.origins import Origin
from erllama_cache.disk.tier import DiskTier
from erllama_cache.ram import RamTier
from erllama_cache.ref import BlockRef, Child, Passage, Shape, Wording
from erllama_cache.stats import StoreStats, Tiers, TierStats
from erllama_cache.writer import SaveOutcome, Writer

CLOSE_TIMEOUT_S = 30.0
MAX_CHILDREN = 1000
"""How many blocks on disk that extend one are looked into, those used last in front: each takes opening a file."""


MAX_GENERATED = 256
"""The same for those that hold generated tokens, which a request may look for."""


class Store:
    """A two-tier cache of blocks in one directory. Any thread may call any method between open and close.

    The directory may be shared with other processes; the RAM tier is this process's own. No lookup, load or
    save raises for a full disk, a damaged file or a damaged index: the cache then merely holds less. All sizes
    are in bytes, all times in seconds.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ram_bytes: int,
        disk_bytes: int,
        write_bytes_per_day: int | None = None,
        queue_bytes: int = 256 << 20,
    ) -> None:
        self.directory = directory
        self.tally = Tally()
        self._ram = RamTier(ram_bytes)
        self._disk = DiskTier(directory, disk_bytes, self.tally, write_bytes_per_day=write_bytes_per_day)
        self._writer = Writer(self._disk, self.tally, queue_bytes=queue_bytes)

    @property
    def ram_bytes(self) -> int:
        """The RAM budget. Setting it lower lets go of blocks at once."""
        return self._ram.quota_bytes

    @ram_bytes.setter
    def ram_bytes(self, ram_bytes: int) -> None:
        self._ram.quota_bytes = ram_bytes

    def limit_disk(self, disk_bytes: int, write_bytes_per_day: int | None) -> None:
        """Another quota on disk, and another for a day's writes; what is above it goes when room is made next."""
        self._disk.limit(disk_bytes, write_bytes_per_day)

    def open(self) -> None:
        """Open the directory and start the writer. Raises CacheUnlockable."""
        self._disk.open()
        self._writer.start()

    def close(self, timeout: float | None = CLOSE_TIMEOUT_S) -> bool:
        """Write what is queued and close; False if `timeout` seconds were not enough and the rest was dropped."""
        is_complete = self._writer.close(timeout)
        self._disk.close()
        return is_complete

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def chain(
        self, parent: bytes, tokens: Sequence[int], ends: Sequence[int], *, start: int = 0
    ) -> tuple[BlockRef, ...]:
        """The longest chain of prefill blocks cut exactly at `ends`: what a cold run would have made itself.

        It extends `parent`: the root, or the block that ends before the token `start`.
        """
        return strict_chain(self, parent, tokens, ends, start=start)

    def longest(self, root: bytes, tokens: Sequence[int]) -> tuple[BlockRef, ...]:
        """The chain of blocks of either kind that covers most of `tokens`."""
        return longest_chain(self, root, tokens)

    def resume(self, root: bytes, parent_key: bytes, tokens: Sequence[int]) -> tuple[BlockRef, ...] | None:
        """The chain that ends in `parent_key`; None unless it is whole and holds the beginning of `tokens`."""
        return resumed_chain(self, root, parent_key, tokens)

    def wording(self, last: bytes) -> Wording | None:
        """The tokens of the chain that ends in the block `last`, and its root; None unless the chain is whole."""
        return whole_wording(self, last)

    def passage(self, key: bytes) -> Passage | None:
        """The block without its state; None if it is not there, or damaged."""
        held = self._ram.get(key, touch=False) or self._writer.pending(key)
        if held is not None:
            return Passage(held.root, held.parent, held.kind, held.start, held.tokens)
        return self._disk.passage(key)

    def find(self, key: bytes) -> BlockRef | None:
        """A reference to the block: to the copy that has logits if there is one, else to the nearest."""
        held = self._ram.get(key, touch=False) or self._writer.pending(key)
        nearest = BlockRef.in_memory(held) if held else None
        if nearest is not None and nearest.has_logits:
            return nearest
        stored = self._disk.find(key)
        return stored if stored is not None and (nearest is None or stored.has_logits) else nearest

    def find_all(self, keys: Sequence[bytes]) -> dict[bytes, BlockRef]:
        """As `find`, for many keys at once: references to those blocks that are there."""
        found: dict[bytes, BlockRef] = {}
        for key in keys:
            held = self._ram.get(key, touch=False) or self._writer.pending(key)
            if held is not None:
                found[key] = BlockRef.in_memory(held)
        wanted = [key for key in keys if key not in found or not found[key].has_logits]
        stored = self._disk.find_all(wanted) if wanted else {}
        return found | {key: ref for key, ref in stored.items() if key not in found or ref.has_logits}

    def shapes(self, parent: bytes) -> set[Shape]:
        """Kind and length of each block, in either tier or on its way to the disk, that extends `parent`."""
        return self._ram.shapes(parent) | self._writer.shapes(parent) | self._disk.shapes(parent)

    def children(self, parent: bytes) -> list[Child]:
        """Blocks that extend `parent`, without their state: those in RAM, and many of those on disk."""
        return self._ram.children(parent) + self._disk.children(parent, MAX_CHILDREN)

    def generated(self, parent: bytes) -> list[Child]:
        """Blocks of generated tokens that extend `parent`, without their state, in no order and each once.

        All that are in RAM or on their way to the disk, and many of those on disk. Others that extend it cost nothing.
        """
        held = {child.key(parent): child for child in (*self._ram.generated(parent), *self._writer.generated(parent))}
        return [*held.values(), *self._disk.generated(parent, MAX_GENERATED, held)]

    def departed(self, key: bytes) -> tuple[float, Departure] | None:
        """When (Unix seconds) and why a block left the disk; None if it did not, or nobody knows any more."""
        return self._disk.departed(key)

    def origins(self) -> dict[bytes, Origin]:
        """What is known of every root on disk, by root."""
        return self._disk.origins.all()

    def load(self, block: BlockRef | bytes) -> Block | None:
        """The block, from memory or else from disk and then kept in memory; None if it is gone or damaged.

        A damaged file is quarantined and counted. `bytes_read` and `load_total_ns` count reads from disk. Does
        not count as a use of the block: see `touch`.
        """
        ref = block if isinstance(block, BlockRef) else self.find(block)
        if ref is None:
            return None
        held = self._ram.get(ref.key) or self._writer.pending(ref.key)
        if held is not None and (held.has_logits or not ref.has_logits):
            return held
        started_ns = time.perf_counter_ns()
        stored = self._disk.load(ref.key)
        if stored is None:
            return held
        self.tally.add("bytes_read", stored.file_bytes)
        self.tally.add("load_total_ns", time.perf_counter_ns() - started_ns)
        self._ram.put(stored)
        return stored

    def load_from_disk(self, key: bytes) -> Block | None:
        """The block as its file has it, even if memory holds it too, which is left as it is; None as of `load`."""
        return self._disk.load(key)

    def save(self, block: Block, *, wait: bool = False, to_disk: bool = True) -> Future[SaveOutcome]:
        """Hold the block in RAM at once, and queue it for the disk unless it must never be written there.

        The future tells what became of it on disk, or in RAM if that is all; its callbacks run on the writer's
        thread. `wait` waits for room in a full queue; otherwise the save is dropped and counted.
        """
        was_held = block.key in self._ram
        is_held = self._ram.put(block)
        if to_disk:
            return self._writer.submit(block, wait=wait)
        if is_held and not was_held:
            self.tally.add(f"saves_{block.reason}")
        elif not is_held:
            self.tally.add("saves_dropped")
        future: Future[SaveOutcome] = Future()
        future.set_result(SaveOutcome.PRESENT if was_held else SaveOutcome.SAVED if is_held else SaveOutcome.DROPPED)
        return future

    def keep(self, key: bytes) -> Future[SaveOutcome]:
        """See to it that a block that was reused is on disk: it may be in RAM alone, or evicted meanwhile.

        The future is as `save` gives it; DROPPED if the block is nowhere any more.
        """
        held = self._writer.pending(key) or (None if self._disk.find(key) else self._ram.get(key, touch=False))
        if held is not None:
            return self._writer.submit(held)
        future: Future[SaveOutcome] = Future()
        future.set_result(SaveOutcome.PRESENT if self._disk.find(key) else SaveOutcome.DROPPED)
        return future

    def hold(self, keys: Collection[bytes]) -> None:
        """Spare these blocks from being evicted from disk by this process until they are released as often as held."""
        self._writer.hold(keys)

    def release(self, keys: Collection[bytes]) -> None:
        """End what `hold` began."""
        self._writer.release(keys)

    def forget(self, keys: Iterable[bytes] | None = None) -> int:
        """Let go of blocks in memory and in the queue, because somebody removed them from the disk.

        Of these blocks or, without any named, of all; how many there were.
        """
        unwanted = self._ram.keys() | self._writer.keys() if keys is None else keys
        return sum(self._ram.discard(key) | self._writer.forget(key) for key in unwanted)

    def forget_root(self, root: bytes) -> None:
        """Let go of all that is in memory of one root."""
        self._ram.forget_root(root)

    def note_origin(self, root: bytes, origin: Origin) -> None:
        """Have it written down, some time soon, what a root was made from."""
        self._writer.note_origin(root, origin)

    def quarantine(self, key: bytes) -> None:
        """Take the block out of use everywhere, because what it restored did not work. Counted once."""
        was_in_memory = self._ram.discard(key) | self._writer.forget(key)
        if not self._disk.quarantine(key) and was_in_memory:
            self.tally.add("quarantined")

    def touch(self, keys: Iterable[bytes]) -> None:
        """Count a use of each block, for eviction. RAM knows at once, the disk some time soon."""
        used = list(keys)
        for key in used:
            self._ram.get(key)
        self._writer.touch(used)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything saved and counted so far is written; False after `timeout` seconds."""
        return self._writer.flush(timeout)

    def ram_stats(self) -> TierStats:
        """The RAM tier alone; never waits for a disk."""
        return TierStats(rows=self._ram.rows, bytes=self._ram.used_bytes, quota_bytes=self._ram.quota_bytes)

    def stats(self) -> StoreStats:
        """Both tiers and the counters of every process that ever used this directory, this one's up to now."""
        totals = self._disk.totals()
        counters, written = self._writer.counters()
        return StoreStats(
            path=str(self.directory),
            tiers=Tiers(
                ram=self.ram_stats(),
                disk=TierStats(rows=totals.rows, bytes=totals.file_bytes, quota_bytes=self._disk.quota_bytes),
            ),
            counters=counters,
            foreign_bytes=self._disk.files.foreign_bytes(),
            bytes_written_today=written,
            write_bytes_per_day=self._disk.write_bytes_per_day,
        )
