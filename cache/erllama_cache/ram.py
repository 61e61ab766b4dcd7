"""The RAM tier: blocks under a byte budget."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict

from erllama_cache.block import Block
from erllama_cache.keys import BlockKind
from erllama_cache.ref import Child, Shape


class RamTier:
    """Blocks in memory, least recently used first to go; safe to share between threads.

    A block goes only after every block here that extends it: without the beginning of a chain its end cannot
    be found. So the block just put may itself be the one to go. A block whose parent is not here displaces
    nobody, or a chain longer than the budget would eat its own beginning; nor does one larger than the budget.
    """

    def __init__(self, quota_bytes: int) -> None:
        self._lock = threading.Lock()
        self._blocks: OrderedDict[bytes, Block] = OrderedDict()
        self._children: defaultdict[bytes, set[bytes]] = defaultdict(set)
        self._generated: defaultdict[bytes, set[bytes]] = defaultdict(set)
        self._used_bytes = 0
        self._quota_bytes = quota_bytes

    @property
    def rows(self) -> int:
        """How many blocks are held."""
        return len(self._blocks)

    @property
    def used_bytes(self) -> int:
        """Bytes held, never more than the budget."""
        return self._used_bytes

    @property
    def quota_bytes(self) -> int:
        """The budget. Setting it lower evicts at once."""
        return self._quota_bytes

    @quota_bytes.setter
    def quota_bytes(self, quota_bytes: int) -> None:
        with self._lock:
            self._quota_bytes = quota_bytes
            self._shrink()

    def __contains__(self, key: bytes) -> bool:
        return key in self._blocks

    def get(self, key: bytes, *, touch: bool = True) -> Block | None:
        """The block, now the most recently used one unless `touch` is false; None if it is not held."""
        with self._lock:
            block = self._blocks.get(key)
            if block is not None and touch:
                self._blocks.move_to_end(key)
            return block

    def put(self, block: Block) -> bool:
        """Hold the block and say whether it stayed. One held with logits is not replaced by one without."""
        with self._lock:
            held = self._blocks.get(block.key)
            if held is not None and (held.has_logits or not block.has_logits):
                self._blocks.move_to_end(block.key)
                return True
            if not self._may_enter(block, held):
                return held is not None
            if held is not None:
                self._remove(held)
            self._blocks[block.key] = block
            for families in self._families(block):
                families[block.parent].add(block.key)
            self._used_bytes += block.size
            self._shrink()
            return block.key in self._blocks

    def keys(self) -> set[bytes]:
        """The keys of all blocks held."""
        with self._lock:
            return set(self._blocks)

    def discard(self, key: bytes) -> bool:
        """Let go of the block, and say whether it was held."""
        with self._lock:
            block = self._blocks.get(key)
            if block is not None:
                self._remove(block)
            return block is not None

    def forget_root(self, root: bytes) -> None:
        """Let go of every block of one root."""
        with self._lock:
            for block in [block for block in self._blocks.values() if block.root == root]:
                self._remove(block)

    def shapes(self, parent: bytes) -> set[Shape]:
        """Kind and length of each block held that extends `parent`."""
        with self._lock:
            children = (self._blocks[key] for key in self._children.get(parent, ()))
            return {Shape(child.kind, child.n_tokens) for child in children}

    def children(self, parent: bytes) -> list[Child]:
        """The blocks held that extend `parent`, without their state."""
        with self._lock:
            children = (self._blocks[key] for key in self._children.get(parent, ()))
            return [Child(child.kind, child.tokens) for child in children]

    def generated(self, parent: bytes) -> list[Child]:
        """As `children`, but only those that hold generated tokens; costs nothing for the others."""
        with self._lock:
            children = (self._blocks[key] for key in self._generated.get(parent, ()))
            return [Child(child.kind, child.tokens) for child in children]

    def _families(self, block: Block) -> list[defaultdict[bytes, set[bytes]]]:
        return [self._children] if block.kind is BlockKind.PREFILL else [self._children, self._generated]

    def _may_enter(self, block: Block, held: Block | None) -> bool:
        added = block.size - (held.size if held else 0)
        has_room = self._used_bytes + added <= self._quota_bytes
        has_parent = block.parent == block.root or block.parent in self._blocks
        return has_room or (has_parent and block.size <= self._quota_bytes)

    def _shrink(self) -> None:
        while self._used_bytes > self._quota_bytes:
            leaf = next(block for key, block in self._blocks.items() if key not in self._children)
            self._remove(leaf)

    def _remove(self, block: Block) -> None:
        del self._blocks[block.key]
        self._used_bytes -= block.size
        for families in self._families(block):
            siblings = families[block.parent]
            siblings.discard(block.key)
            if not siblings:
                del families[block.parent]
