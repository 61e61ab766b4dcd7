"""A cache directory as years of use would leave it: real files and real rows, small payloads that mean nothing.

A few system prompts, under each of them chats that go on turn by turn, some of them from the middle of another, and one
long document. Made by the cache's own code, but without waiting for the disk at each block.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from erllama_cache.block import Block, SaveReason, encode
from erllama_cache.disk.files import BlockFiles
from erllama_cache.disk.index import INDEX_NAME, Index
from erllama_cache.disk.row import Row
from erllama_cache.keys import KEY_BYTES, BlockKind, unpack_tokens

BLOCK_TOKENS = 256
DOCUMENT_TOKENS = 30_000
DOCUMENT_ENDS = [*range(BLOCK_TOKENS, DOCUMENT_TOKENS, BLOCK_TOKENS), DOCUMENT_TOKENS]
SYSTEM_PROMPTS = 25
SHORTEST_BLOCK = 16
LONGEST_CHAT_TURNS = 30
FORKED = 0.1
"""Which part of the chats goes on from the middle of another."""
HITS = 20
"""How often the document was used, and lately, so that no eviction takes it before others."""
AGE_S = 60 * 86_400.0
"""When the oldest block was written."""
_LABEL = "On day {} the llama crossed river number {} and hummed, and whoever heard it remembered every word of it."


@dataclass(frozen=True, slots=True)
class SyntheticCache:
    """What was made. `document` are the tokens of the long chain from `root` to `last_key`."""

    directory: Path
    blocks: int
    file_bytes: int
    root: bytes
    document: list[int]
    last_key: bytes


def make_cache(directory: Path, blocks: int, payload_bytes: int) -> SyntheticCache:
    """Fill an empty directory with so many blocks, the same ones each time, with payloads of so many bytes."""
    forest = Forest(payload_bytes)
    document = list(forest.document())
    document_bytes = sum(block.file_bytes for block in document)
    index = _new_index(directory)
    files, made, now = BlockFiles(directory), 0, time.time()

    def written() -> Iterator[Row]:
        nonlocal made
        for block in forest.blocks(document, blocks):
            path = files.path(block.key)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.writelines(encode(block))
            made += block.file_bytes
            row = Row.of(block, used=block.created, label=block.label)
            yield replace(row, hits=HITS, heat=float(HITS), used=now) if made <= document_bytes else row

    index.insert(written())
    index.close()
    tokens = b"".join(block.tokens for block in document)
    return SyntheticCache(directory, blocks, made, forest.root, unpack_tokens(tokens), document[-1].key)


def _new_index(directory: Path) -> Index:
    BlockFiles(directory).prepare()
    index = Index(directory / INDEX_NAME)
    assert index.open()
    return index


@dataclass(slots=True)
class Forest:
    """Chains that share beginnings. `payload_bytes` is the size of every block's payload."""

    payload_bytes: int
    root: bytes = bytes(range(KEY_BYTES))
    _random: random.Random = field(default_factory=lambda: random.Random(4))  # noqa: S311 - nothing secret
    _now: float = field(default_factory=time.time)

    def document(self) -> Iterator[Block]:
        """The chain of the long document, cut every 256 tokens."""
        last = None
        for end in DOCUMENT_ENDS:
            last = self._next(last, end - (last.end if last else 0))
            yield last

    def blocks(self, document: list[Block], count: int) -> Iterator[Block]:
        """So many blocks, each after the one that it extends, the document's first."""
        if count < len(document):
            raise ValueError(f"the document alone has {len(document)} blocks")
        yield from document
        rest = self._chats()
        for _ in range(count - len(document)):
            yield next(rest)

    def _chats(self) -> Iterator[Block]:
        prompts = []
        for _ in range(SYSTEM_PROMPTS):
            first = self._next(None, BLOCK_TOKENS)
            prompts.append(self._next(first, self._length()))
            yield from (first, prompts[-1])
        middles = [*prompts]
        while True:
            is_forked = self._random.random() < FORKED
            last = self._random.choice(middles if is_forked else prompts)
            turns = self._random.randint(1, LONGEST_CHAT_TURNS)
            for turn in range(turns):
                for kind in (BlockKind.PREFILL, BlockKind.GENERATED):
                    last = self._next(last, self._length(), kind)
                    yield last
                if turn == turns // 2:
                    middles.append(last)

    def _length(self) -> int:
        return self._random.randint(SHORTEST_BLOCK, BLOCK_TOKENS)

    def _next(self, last: Block | None, n_tokens: int, kind: BlockKind = BlockKind.PREFILL) -> Block:
        return Block(
            root=self.root,
            parent=last.key if last else self.root,
            kind=kind,
            start=last.end if last else 0,
            tokens=self._random.randbytes(4 * n_tokens),
            reason=SaveReason.COLD if kind is BlockKind.PREFILL else SaveReason.FINISH,
            payload=bytes(self.payload_bytes),
            created=self._now - self._random.uniform(3600.0, AGE_S),
            label=_LABEL.format(n_tokens, self._random.randint(1, 31)),
            cost_s=n_tokens / 200,
        )
