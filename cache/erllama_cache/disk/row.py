"""What the index knows of a block file, and what keeping it is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from erllama_cache.block import Block, BlockHeader, SaveReason
from erllama_cache.keys import BlockKind

HEAT_HALF_LIFE_S = 7 * 86_400.0
"""A hit counts half after this time."""

LABEL_CHARACTERS = 160
"""How much of a block's text the index keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One block file. `file_bytes` in bytes, `created` and `used` in Unix seconds, `cost_s` in seconds.

    `hits` counts uses since the block was saved; `heat` counts them too, but older ones less, as of `used`.
    """

    key: bytes
    parent: bytes
    root: bytes
    kind: BlockKind
    start: int
    n_tokens: int
    file_bytes: int
    has_logits: bool
    reason: SaveReason
    created: float
    used: float
    cost_s: float = 0.0
    hits: int = 0
    heat: float = 0.0
    is_pinned: bool = False
    label: str = ""

    @classmethod
    def of(cls, block: Block | BlockHeader, *, used: float, label: str, is_pinned: bool = False) -> Row:
        """The row of a block file that was last used at `used`."""
        return cls(
            key=block.key,
            parent=block.parent,
            root=block.root,
            kind=block.kind,
            start=block.start,
            n_tokens=block.n_tokens,
            file_bytes=block.file_bytes,
            has_logits=block.has_logits,
            reason=block.reason,
            created=block.created,
            used=used,
            cost_s=block.cost_s,
            is_pinned=is_pinned,
            label=label[:LABEL_CHARACTERS],
        )

    @classmethod
    def of_values(cls, values: tuple[Any, ...]) -> Row:
        """The row whose fields are `values`, in order. Raises ValueError for a kind or reason that is not known."""
        (key, parent, root, kind, start, n_tokens, file_bytes, has_logits, reason, created, used) = values[:11]
        cost_s, hits, heat, is_pinned, label = values[11:]
        return cls(
            key=key,
            parent=parent,
            root=root,
            kind=BlockKind(kind),
            start=start,
            n_tokens=n_tokens,
            file_bytes=file_bytes,
            has_logits=bool(has_logits),
            reason=SaveReason(reason),
            created=created,
            used=used,
            cost_s=cost_s,
            hits=hits,
            heat=heat,
            is_pinned=bool(is_pinned),
            label=label,
        )

    def describes(self, block: Block) -> bool:
        """Whether it says of the block what the block says of itself; a damaged row may not."""
        ours = (self.parent, self.root, self.kind, self.start, self.n_tokens)
        return ours == (block.parent, block.root, block.kind, block.start, block.n_tokens)

    @property
    def end(self) -> int:
        """The position after the last token."""
        return self.start + self.n_tokens

    def value(self, now: float) -> float:
        """What keeping the block is worth at `now`; see `worth`."""
        return worth(self.heat, now - self.used, self.n_tokens, self.file_bytes)


def cooled(heat: float, seconds: float) -> float:
    """What is left of `heat` after some time; all of it if the clock went back."""
    return heat * math.exp2(-max(0.0, seconds) / HEAT_HALF_LIFE_S)


def worth(heat: float, age_s: float, n_tokens: int, file_bytes: int) -> float:
    """What keeping a block is worth, in tokens a MiB: (decayed hits + 1) × tokens to recompute / size."""
    return (cooled(heat, age_s) + 1) * n_tokens / (file_bytes / (1 << 20))
