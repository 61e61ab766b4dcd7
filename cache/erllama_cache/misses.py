"""Why a block is not there: for people, who wonder why their prompt is read again. Nothing is found through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from erllama_cache.chains import Shelf, longest_chain
from erllama_cache.disk.departure import Departure
from erllama_cache.disk.difference import Difference
from erllama_cache.disk.origins import Origin
from erllama_cache.keys import TOKEN_BYTES, BlockKind, block_key, pack_tokens, unpack_tokens
from erllama_cache.ref import Child


class Archive(Shelf, Protocol):
    """A shelf that also remembers what is not on it."""

    def departed(self, key: bytes) -> tuple[float, Departure] | None:
        """When (Unix seconds) and why a block went."""

    def origins(self) -> dict[bytes, Origin]:
        """What is known of every root."""

    def children(self, parent: bytes) -> list[Child]:
        """Blocks that extend `parent`, those used last in front; perhaps not all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A block that is looked for in vain: [start, end) of `tokens`, which are the whole prompt.

    `last` is the key in which the chain that `tokens` extend once ended, if that was to be found instead. Without an
    `origin`, nothing is looked for under other roots.
    """

    root: bytes
    origin: Origin | None
    parent: bytes
    tokens: Sequence[int]
    start: int
    end: int
    last: bytes | None = None

    @property
    def key(self) -> bytes:
        """The key that the block would have, read as part of a prompt."""
        return block_key(self.parent, BlockKind.PREFILL, pack_tokens(self.tokens[self.start : self.end]))


@dataclass(frozen=True, slots=True)
class Departed:
    """It was there once. `at` in Unix seconds."""

    at: float
    why: Departure


@dataclass(frozen=True, slots=True)
class Generated:
    """Its tokens are there up to position `end`, but they were generated: their state has other bits."""

    end: int


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Its tokens are there up to position `end` under another root, which differs in these ways."""

    end: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class CutElsewhere:
    """Its tokens are there, as far as both go, in blocks with other ends, of which the last is at position `end`."""

    end: int


@dataclass(frozen=True, slots=True)
class Diverged:
    """The stored block that is most like it has `there` from position `at` on, where the prompt has other tokens."""

    at: int
    there: list[int]


Miss = Departed | Generated | Elsewhere | CutElsewhere | Diverged


def why_missing(archive: Archive, wanted: Wanted) -> Miss | None:
    """The best that is known of a block that is not there; None if nothing is."""
    return (
        _departed(archive, wanted)
        or _otherwise(archive, wanted)
        or _elsewhere(archive, wanted)
        or _most_alike(archive, wanted)
    )


def _departed(archive: Archive, wanted: Wanted) -> Departed | None:
    for key in (wanted.key, wanted.last):
        departure = None if key is None else archive.departed(key)
        if departure is not None:
            return Departed(*departure)
    return None


def _otherwise(archive: Archive, wanted: Wanted) -> Generated | CutElsewhere | None:
    """The same tokens under the same root, in blocks that were made in another way."""
    chain = longest_chain(archive, wanted.root, wanted.tokens)
    if not chain or chain[-1].end <= wanted.start:
        return None
    is_read = all(ref.kind is BlockKind.PREFILL for ref in chain if ref.end > wanted.start)
    return CutElsewhere(chain[-1].end) if is_read else Generated(chain[-1].end)


def _elsewhere(archive: Archive, wanted: Wanted) -> Elsewhere | None:
    if wanted.origin is None:
        return None
    found: list[Elsewhere] = []
    for root, origin in archive.origins().items():
        chain = longest_chain(archive, root, wanted.tokens) if root != wanted.root else ()
        if chain and chain[-1].end > wanted.start:
            found.append(Elsewhere(chain[-1].end, tuple(origin.differences(wanted.origin))))
    return max(found, key=lambda each: (each.end, -len(each.differences)), default=None)


def _most_alike(archive: Archive, wanted: Wanted) -> CutElsewhere | Diverged | None:
    packed = pack_tokens(wanted.tokens[wanted.start :])
    alike = [(_common_tokens(packed, child.tokens), child) for child in archive.children(wanted.parent)]
    if wanted.start == 0:  # what begins differently has nothing to do with it
        alike = [(same, child) for same, child in alike if same]
    same, best = max(alike, key=lambda each: (each[0], -each[1].kind), default=(0, None))
    if best is None:
        return None
    if same == min(len(packed), len(best.tokens)) // TOKEN_BYTES:
        return CutElsewhere(wanted.start + len(best.tokens) // TOKEN_BYTES)
    return Diverged(wanted.start + same, unpack_tokens(best.tokens[TOKEN_BYTES * same :]))


def _common_tokens(one: bytes, other: bytes) -> int:
    """How many tokens both begin with."""
    low, high = 0, min(len(one), len(other)) // TOKEN_BYTES
    while low < high:
        middle = (low + high + 1) // 2
        if one[: TOKEN_BYTES * middle] == other[: TOKEN_BYTES * middle]:
            low = middle
        else:
            high = middle - 1
    return low
