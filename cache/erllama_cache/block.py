"""A block and its file format. docs/cache-format.md has the layout byte by byte."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import xxhash

from erllama_cache.errors import BlockCorrupt
from erllama_cache.keys import KEY_BYTES, TOKEN_BYTES, BlockKind, block_key

MAGIC = b"erllkv\r\n"
FORMAT_VERSION = 1

_FIELDS = struct.Struct("<8sHHBBxx32s32s32sQdIIQ16s")
_CHECKSUM = struct.Struct("<Q")
HEADER_BYTES = _FIELDS.size + _CHECKSUM.size


class SaveReason(StrEnum):
    """Why a block was saved."""

    COLD = "cold"
    CONTINUED = "continued"
    FINISH = "finish"
    EVICT = "evict"
    SHUTDOWN = "shutdown"


# A file holds the position in this tuple, so its order is part of the format.
_REASONS = (SaveReason.COLD, SaveReason.CONTINUED, SaveReason.FINISH, SaveReason.EVICT, SaveReason.SHUTDOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The KV state of a run of consecutive tokens. Immutable, so any thread may hold it.

    `start` is the position of the first token; `tokens` are little-endian u32; `logits` are the last token's
    as little-endian float32, or empty; `payload` belongs to whoever exported it; `created` is in Unix seconds.
    Raises ValueError if the fields contradict each other.
    """

    root: bytes
    parent: bytes
    kind: BlockKind
    start: int
    tokens: bytes = field(repr=False)
    reason: SaveReason
    logits: bytes = field(default=b"", repr=False)
    payload: bytes | memoryview = field(repr=False)
    created: float = field(default_factory=time.time)
    key: bytes = field(init=False)

    def __post_init__(self) -> None:
        if len(self.root) != KEY_BYTES or len(self.parent) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        if not self.tokens or len(self.tokens) % TOKEN_BYTES:
            raise ValueError("a block holds one token or more, of four bytes each")
        if self.start < 0 or (self.start == 0) != (self.parent == self.root):
            raise ValueError("a block starts at 0 exactly when its parent is the root")
        object.__setattr__(self, "key", block_key(self.parent, self.kind, self.tokens))

    @property
    def n_tokens(self) -> int:
        """How many tokens the block holds."""
        return len(self.tokens) // TOKEN_BYTES

    @property
    def end(self) -> int:
        """The position after the last token."""
        return self.start + self.n_tokens

    @property
    def has_logits(self) -> bool:
        """Whether the last token's logits are there."""
        return bool(self.logits)

    @property
    def size(self) -> int:
        """Bytes that the block takes in memory."""
        return len(self.tokens) + len(self.logits) + memoryview(self.payload).nbytes

    @property
    def file_bytes(self) -> int:
        """Bytes that the block takes on disk."""
        return HEADER_BYTES + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockHeader:
    """What a block file says of itself before its body. Sizes in bytes, `created` in Unix seconds."""

    root: bytes
    parent: bytes
    key: bytes
    kind: BlockKind
    reason: SaveReason
    start: int
    created: float
    n_tokens: int
    logits_bytes: int
    payload_bytes: int
    checksum: bytes
    """XXH3-128 of tokens ‖ logits ‖ payload, most significant byte first."""

    @property
    def has_logits(self) -> bool:
        """Whether the last token's logits are there."""
        return self.logits_bytes > 0

    @property
    def file_bytes(self) -> int:
        """The size that the whole file must have."""
        return HEADER_BYTES + self.n_tokens * TOKEN_BYTES + self.logits_bytes + self.payload_bytes


def encode(block: Block) -> list[bytes | memoryview]:
    """The buffers that make up the block's file, in order. The payload is not copied."""
    fields = _FIELDS.pack(
        MAGIC,
        FORMAT_VERSION,
        HEADER_BYTES,
        block.kind,
        _REASONS.index(block.reason),
        block.root,
        block.parent,
        block.key,
        block.start,
        block.created,
        block.n_tokens,
        len(block.logits),
        memoryview(block.payload).nbytes,
        _body_checksum(block.tokens, block.logits, block.payload),
    )
    header = fields + _CHECKSUM.pack(xxhash.xxh3_64_intdigest(fields))
    return [header, block.tokens, block.logits, block.payload]


def decode(data: bytes, path: Path) -> Block:
    """The block that `data`, the whole file at `path`, holds; its payload is a view into `data`.

    Raises BlockCorrupt unless the header, the exact size, both checksums and the key all agree.
    """
    header = decode_header(data, path)
    if len(data) != header.file_bytes:
        raise BlockCorrupt(path=path, reason=f"it has {len(data)} bytes instead of {header.file_bytes}")
    logits_at = HEADER_BYTES + header.n_tokens * TOKEN_BYTES
    payload_at = logits_at + header.logits_bytes
    tokens, logits, payload = data[HEADER_BYTES:logits_at], data[logits_at:payload_at], memoryview(data)[payload_at:]
    if _body_checksum(tokens, logits, payload) != header.checksum:
        raise BlockCorrupt(path=path, reason="its contents do not match their checksum")
    try:
        block = Block(
            root=header.root,
            parent=header.parent,
            kind=header.kind,
            start=header.start,
            tokens=tokens,
            reason=header.reason,
            logits=logits,
            payload=payload,
            created=header.created,
        )
    except ValueError as error:
        raise BlockCorrupt(path=path, reason=str(error)) from error
    if block.key != header.key:
        raise BlockCorrupt(path=path, reason="its key is not that of its tokens")
    return block


def decode_header(data: bytes, path: Path) -> BlockHeader:
    """The header at the beginning of `data`, which was read from `path`. Raises BlockCorrupt."""
    if len(data) < HEADER_BYTES:
        raise BlockCorrupt(path=path, reason="it is shorter than a header")
    fields, checksum = data[: _FIELDS.size], data[_FIELDS.size : HEADER_BYTES]
    magic, version, header_bytes, kind, reason, *rest = _FIELDS.unpack(fields)
    if magic != MAGIC:
        raise BlockCorrupt(path=path, reason="it is not a block file")
    if (version, header_bytes) != (FORMAT_VERSION, HEADER_BYTES):
        raise BlockCorrupt(path=path, reason=f"format version {version} is not known")
    if _CHECKSUM.pack(xxhash.xxh3_64_intdigest(fields)) != checksum:
        raise BlockCorrupt(path=path, reason="its header does not match its checksum")
    if kind not in set(BlockKind) or reason >= len(_REASONS):
        raise BlockCorrupt(path=path, reason="its kind or save reason is not known")
    root, parent, key, start, created, n_tokens, logits_bytes, payload_bytes, body_checksum = rest
    return BlockHeader(
        root=root,
        parent=parent,
        key=key,
        kind=BlockKind(kind),
        reason=_REASONS[reason],
        start=start,
        created=created,
        n_tokens=n_tokens,
        logits_bytes=logits_bytes,
        payload_bytes=payload_bytes,
        checksum=body_checksum,
    )


def _body_checksum(*parts: bytes | memoryview) -> bytes:
    hasher = xxhash.xxh3_128()
    for part in parts:
        hasher.update(part)
    return hasher.digest()
