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
FORMAT_VERSION = 2

_FIELDS = struct.Struct("<8sHHBBH32s32s32sQddIIQ16s")
_CHECKSUM = struct.Struct("<Q")
HEADER_BYTES = _FIELDS.size + _CHECKSUM.size

LABEL_BYTES_LIMIT = (1 << 16) - 1


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
    For people alone: `label` is how the tokens begin as text, cut off at 65,535 bytes of UTF-8; `cost_s` is how many
    seconds it took to compute them, 0 if nobody knows. Raises ValueError if the fields contradict each other.
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
    label: str = field(default="", repr=False)
    cost_s: float = 0.0
    key: bytes = field(init=False)

    def __post_init__(self) -> None:
        if len(self.root) != KEY_BYTES or len(self.parent) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        if not self.tokens or len(self.tokens) % TOKEN_BYTES:
            raise ValueError("a block holds one token or more, of four bytes each")
        if self.start < 0 or (self.start == 0) != (self.parent == self.root):
            raise ValueError("a block starts at 0 exactly when its parent is the root")
        label = self.label.encode(errors="replace")[:LABEL_BYTES_LIMIT].decode(errors="ignore")
        object.__setattr__(self, "label", label)
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
        return HEADER_BYTES + len(self.label.encode()) + self.size


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
    cost_s: float
    n_tokens: int
    label_bytes: int
    logits_bytes: int
    payload_bytes: int
    checksum: bytes
    """XXH3-128 of tokens ‖ label ‖ logits ‖ payload, most significant byte first."""

    @property
    def has_logits(self) -> bool:
        """Whether the last token's logits are there."""
        return self.logits_bytes > 0

    @property
    def file_bytes(self) -> int:
        """The size that the whole file must have."""
        return self.text_bytes + self.logits_bytes + self.payload_bytes

    @property
    def text_bytes(self) -> int:
        """How much of the file holds header, tokens and label: all that can be read without the state."""
        return HEADER_BYTES + self.n_tokens * TOKEN_BYTES + self.label_bytes


def encode(block: Block) -> list[bytes | memoryview]:
    """The buffers that make up the block's file, in order. The payload is not copied."""
    label = block.label.encode()
    fields = _FIELDS.pack(
        MAGIC,
        FORMAT_VERSION,
        HEADER_BYTES,
        block.kind,
        _REASONS.index(block.reason),
        len(label),
        block.root,
        block.parent,
        block.key,
        block.start,
        block.created,
        block.cost_s,
        block.n_tokens,
        len(block.logits),
        memoryview(block.payload).nbytes,
        _body_checksum(block.tokens, label, block.logits, block.payload),
    )
    header = fields + _CHECKSUM.pack(xxhash.xxh3_64_intdigest(fields))
    return [header, block.tokens, label, block.logits, block.payload]


def decode(data: bytes, path: Path) -> Block:
    """The block that `data`, the whole file at `path`, holds; its payload is a view into `data`.

    Raises BlockCorrupt unless the header, the exact size, both checksums and the key all agree.
    """
    header = decode_header(data, path)
    if len(data) != header.file_bytes:
        raise BlockCorrupt(path=path, reason=f"it has {len(data)} bytes instead of {header.file_bytes}")
    tokens, label = decode_text(data, header)
    payload_at = header.text_bytes + header.logits_bytes
    logits, payload = data[header.text_bytes : payload_at], memoryview(data)[payload_at:]
    if _body_checksum(tokens, label, logits, payload) != header.checksum:
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
            label=label.decode(errors="ignore"),
            cost_s=header.cost_s,
        )
    except ValueError as error:
        raise BlockCorrupt(path=path, reason=str(error)) from error
    if block.key != header.key:
        raise BlockCorrupt(path=path, reason="its key is not that of its tokens")
    return block


def decode_text(data: bytes, header: BlockHeader) -> tuple[bytes, bytes]:
    """Tokens and label at the beginning of a file, of which `data` holds `header.text_bytes` or more. Unchecked."""
    label_at = HEADER_BYTES + header.n_tokens * TOKEN_BYTES
    return data[HEADER_BYTES:label_at], data[label_at : header.text_bytes]


def decode_header(data: bytes, path: Path) -> BlockHeader:
    """The header at the beginning of `data`, which was read from `path`. Raises BlockCorrupt."""
    if len(data) < HEADER_BYTES:
        raise BlockCorrupt(path=path, reason="it is shorter than a header")
    fields, checksum = data[: _FIELDS.size], data[_FIELDS.size : HEADER_BYTES]
    magic, version, header_bytes, kind, reason, label_bytes, *rest = _FIELDS.unpack(fields)
    if magic != MAGIC:
        raise BlockCorrupt(path=path, reason="it is not a block file")
    if (version, header_bytes) != (FORMAT_VERSION, HEADER_BYTES):
        raise BlockCorrupt(path=path, reason=f"format version {version} is not known")
    if _CHECKSUM.pack(xxhash.xxh3_64_intdigest(fields)) != checksum:
        raise BlockCorrupt(path=path, reason="its header does not match its checksum")
    if kind not in set(BlockKind) or reason >= len(_REASONS):
        raise BlockCorrupt(path=path, reason="its kind or save reason is not known")
    root, parent, key, start, created, cost_s, n_tokens, logits_bytes, payload_bytes, body_checksum = rest
    return BlockHeader(
        root=root,
        parent=parent,
        key=key,
        kind=BlockKind(kind),
        reason=_REASONS[reason],
        start=start,
        created=created,
        cost_s=cost_s,
        n_tokens=n_tokens,
        label_bytes=label_bytes,
        logits_bytes=logits_bytes,
        payload_bytes=payload_bytes,
        checksum=body_checksum,
    )


def _body_checksum(*parts: bytes | memoryview) -> bytes:
    hasher = xxhash.xxh3_128()
    for part in parts:
        hasher.update(part)
    return hasher.digest()
