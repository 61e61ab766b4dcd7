"""Which blocks go when room is needed.

Leaves first, so that no chain ever loses its beginning before its end. Among leaves the one that is worth least:
(decayed hits + 1) × tokens to recompute / bytes, so that a shared system prompt outlives one-off tails; of equal ones
the one longest unused. `tests/cache/test_eviction.py` holds this to a plain model.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable
from operator import attrgetter
from typing import NamedTuple

from erllama_cache.disk.row import Row, worth

FRESH_S = 60.0
"""A block written or used within this time goes only when nothing else is left to go."""


class Candidate(NamedTuple):
    """What a decision needs to know of a block: a row of the index, without the rest."""

    key: bytes
    parent: bytes
    root: bytes
    start: int
    n_tokens: int
    file_bytes: int
    used: float
    heat: float
    is_pinned: bool

    @classmethod
    def of(cls, row: Row) -> Candidate:
        """That part of a row."""
        return cls(*(getattr(row, name) for name in cls._fields))


def choose(
    candidates: Iterable[Candidate], needed: int, spared: Collection[bytes], now: float, *, extra: int = 0
) -> list[Candidate]:
    """Blocks that give `needed` bytes when they go in this order, or as many as there are; no more than it takes.

    Neither a pinned block goes, nor one of `spared`, nor what any of them extends. A block that cannot be reached,
    because the beginning of its chain is gone, goes before all others. `now` is in Unix seconds. Of blocks that are not
    fresh, `extra` bytes more may go, so that not every save has to look at all of the cache.
    """
    blocks = {candidate.key: candidate for candidate in candidates}
    children = Counter(map(attrgetter("parent"), blocks.values()))
    unreachable = _unreachable(blocks)
    leaves: list[tuple[_Rank, bytes]] = []

    def offer(block: Candidate) -> None:
        if not (children[block.key] or block.is_pinned or block.key in spared):
            heapq.heappush(leaves, (_rank(block, now, is_reachable=block.key not in unreachable), block.key))

    for key in blocks.keys() - children.keys():
        offer(blocks[key])
    chosen: list[Candidate] = []
    while leaves:
        rank, key = heapq.heappop(leaves)
        block = blocks[key]
        if needed <= 0 and (rank.is_fresh or block.file_bytes > needed + extra):
            break
        chosen.append(block)
        needed -= block.file_bytes
        children[block.parent] -= 1
        if block.parent in blocks:
            offer(blocks[block.parent])
    return chosen


class _Rank(NamedTuple):
    """The lowest one goes first."""

    is_reachable: bool
    is_fresh: bool
    value: float
    used: float
    distance: int


def _rank(block: Candidate, now: float, *, is_reachable: bool) -> _Rank:
    age = now - block.used
    value = worth(block.heat, age, block.n_tokens, block.file_bytes)
    # A time in the future says that the clock was set back, and nothing of how long the block is unused.
    used = block.used if age > -FRESH_S else 0.0
    return _Rank(is_reachable, abs(age) < FRESH_S, value, used, -block.start)


def _unreachable(blocks: dict[bytes, Candidate]) -> set[bytes]:
    """The keys of the blocks whose chains are not whole back to the root."""
    lost = {block.key for block in blocks.values() if block.parent not in blocks and block.parent != block.root}
    for block in sorted(blocks.values(), key=attrgetter("start")) if lost else ():
        if block.parent in lost:
            lost.add(block.key)
    return lost
