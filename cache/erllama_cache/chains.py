"""Finding chains: which stored blocks hold the beginning of some tokens.

Every block found is proved: its key is computed again from the tokens asked for, and SHA-256 leaves no room for
other tokens. What is stored is only ever asked "do you hold this key?" and "how long are the children?".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from erllama_cache.keys import TOKEN_BYTES, BlockKind, block_key, pack_tokens
from erllama_cache.ref import BlockRef, Passage, Shape, Wording


class Shelf(Protocol):
    """Whatever holds blocks."""

    def find(self, key: bytes) -> BlockRef | None:
        """A reference to the block of this key, or None."""

    def find_all(self, keys: Sequence[bytes]) -> dict[bytes, BlockRef]:
        """As `find`, for many keys at once: references to those that are there."""

    def shapes(self, parent: bytes) -> set[Shape]:
        """Kind and length of each block that extends `parent`."""

    def passage(self, key: bytes) -> Passage | None:
        """The block of this key without its state, or None."""


def strict_chain(
    shelf: Shelf, parent: bytes, tokens: Sequence[int], ends: Sequence[int], *, start: int = 0
) -> tuple[BlockRef, ...]:
    """The longest chain of prefill blocks that end exactly at `ends`, from the first one on.

    The first one extends `parent`: the root, or the block that ends before the token `start`.
    """
    packed = pack_tokens(tokens)
    steps: list[_Step] = []
    for end in ends:
        if not start < end <= len(tokens):
            break
        steps.append(_Step.of(packed, parent, start, Shape(BlockKind.PREFILL, end - start)))
        parent, start = steps[-1].key, end
    chain: list[BlockRef] = []
    for ref in _taken(shelf, steps):
        if ref is None:
            break
        chain.append(ref)
    return tuple(chain)


def longest_chain(shelf: Shelf, root: bytes, tokens: Sequence[int]) -> tuple[BlockRef, ...]:
    """The chain of blocks of either kind that covers most of `tokens`; of equal ones, one that has logits."""
    packed = pack_tokens(tokens)
    ways: dict[bytes, _Step] = {}
    unexplored: list[tuple[bytes, int]] = [(root, 0)]
    while unexplored:
        parent, start = unexplored.pop()
        shapes = [shape for shape in shelf.shapes(parent) if start + shape.n_tokens <= len(tokens)]
        steps = [_Step.of(packed, parent, start, shape) for shape in shapes]
        # A lone child is believed for now: to prove the whole chain at the end is one question instead of one a block.
        if len(steps) > 1:
            steps = [step for step, ref in zip(steps, _taken(shelf, steps), strict=True) if ref is not None]
        ways |= {step.key: step for step in steps}
        unexplored += [(step.key, start + step.shape.n_tokens) for step in steps]
    reached: dict[bytes, BlockRef] = {}
    for ref in _taken(shelf, [*ways.values()]):
        if ref is not None and (ref.parent == root or ref.parent in reached):
            reached[ref.key] = ref
    if not reached:
        return ()
    last = max(reached.values(), key=lambda ref: (ref.end, ref.has_logits, ref.tier == "ram", ref.key))
    chain = [last]
    while chain[-1].parent != root:
        chain.append(reached[chain[-1].parent])
    return tuple(reversed(chain))


def resumed_chain(shelf: Shelf, root: bytes, last: bytes, tokens: Sequence[int]) -> tuple[BlockRef, ...] | None:
    """The chain that ends in the block `last`; None if a block of it is missing, it belongs to another root,
    or it holds anything but the beginning of `tokens`. The chain that ends in the root itself is empty.
    """
    chain: list[BlockRef] = []
    key = last
    while key != root:
        found = shelf.find(key)
        if found is None or found.end > len(tokens):
            return None
        # Positions must shrink towards the root, whatever a damaged index claims, or the walk might never end.
        if found.start >= found.end or (chain and found.end != chain[-1].start):
            return None
        chain.append(found)
        key = found.parent
    chain.reverse()
    return tuple(chain) if _holds(chain, root, tokens) else None


def whole_wording(shelf: Shelf, last: bytes) -> Wording | None:
    """The tokens of the chain that ends in the block `last`, whatever its root; None if a block of it is missing."""
    passages: list[Passage] = []
    key, start = last, None
    while start != 0:
        passage = shelf.passage(key)
        if passage is None or key != block_key(passage.parent, passage.kind, passage.tokens):
            return None
        if start is not None and passage.start + len(passage.tokens) // TOKEN_BYTES != start:
            return None
        passages.append(passage)
        key, start = passage.parent, passage.start
    return Wording(key, b"".join(passage.tokens for passage in reversed(passages)))


class _Step(NamedTuple):
    """One block further along some tokens: what a reference to it has to say."""

    key: bytes
    parent: bytes
    start: int
    shape: Shape

    @classmethod
    def of(cls, packed: bytes, parent: bytes, start: int, shape: Shape) -> _Step:
        return cls(block_key(parent, shape.kind, _span(packed, start, start + shape.n_tokens)), parent, start, shape)


def _taken(shelf: Shelf, steps: Sequence[_Step]) -> list[BlockRef | None]:
    """What is there of each step. The key proves the tokens; a damaged index may still be wrong about the rest."""
    found = shelf.find_all([step.key for step in steps])
    return [ref if (ref := found.get(step.key)) and _leads(step, ref) else None for step in steps]


def _leads(step: _Step, ref: BlockRef) -> bool:
    return (ref.parent, ref.start, ref.kind, ref.n_tokens) == (step.parent, step.start, *step.shape)


def _holds(chain: Sequence[BlockRef], root: bytes, tokens: Sequence[int]) -> bool:
    packed = pack_tokens(tokens)
    parent, start = root, 0
    for ref in chain:
        if ref.start != start or ref.key != block_key(parent, ref.kind, _span(packed, start, ref.end)):
            return False
        parent, start = ref.key, ref.end
    return True


def _span(packed: bytes, start: int, end: int) -> bytes:
    return packed[start * TOKEN_BYTES : end * TOKEN_BYTES]
