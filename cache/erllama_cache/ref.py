"""A reference to a stored block: everything a lookup needs to know, without the payload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from erllama_cache.block import Block
from erllama_cache.keys import BlockKind, block_key

TierName = Literal["ram", "disk"]


class Shape(NamedTuple):
    """What a walk must know of a child to compute the key it would have."""

    kind: BlockKind
    n_tokens: int


class Child(NamedTuple):
    """A stored block without its state. `tokens` are little-endian u32."""

    kind: BlockKind
    tokens: bytes

    def key(self, parent: bytes) -> bytes:
        """Its key as a block that extends `parent`."""
        return block_key(parent, self.kind, self.tokens)


class Passage(NamedTuple):
    """A stored block without its state, and where it stands. `tokens` are little-endian u32."""

    root: bytes
    parent: bytes
    kind: BlockKind
    start: int
    tokens: bytes


class Wording(NamedTuple):
    """All the tokens of a chain, as little-endian u32, and its root."""

    root: bytes
    tokens: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRef:
    """Where a block was at the moment of the lookup. It may be gone by the time it is loaded."""

    key: bytes
    parent: bytes
    kind: BlockKind
    start: int
    n_tokens: int
    has_logits: bool
    cost_s: float
    tier: TierName

    @property
    def end(self) -> int:
        """The position after the last token."""
        return self.start + self.n_tokens

    @classmethod
    def in_memory(cls, block: Block) -> BlockRef:
        """A reference to a block that is held in memory."""
        return cls(
            key=block.key,
            parent=block.parent,
            kind=block.kind,
            start=block.start,
            n_tokens=block.n_tokens,
            has_logits=block.has_logits,
            cost_s=block.cost_s,
            tier="ram",
        )
