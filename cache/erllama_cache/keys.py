"""Names of blocks: what a key commits to, and how tokens become bytes."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from enum import IntEnum

import msgspec

KEY_BYTES = 32
TOKEN_BYTES = 4

_U32 = "I" if array("I").itemsize == TOKEN_BYTES else "L"


class BlockKind(IntEnum):
    """Where a block's tokens came from. The same tokens have other bits when they were generated one by one, and
    others again when they were generated beside other sequences: those of kind TOGETHER are not reproducible.
    """

    PREFILL = 0
    GENERATED = 1
    TOGETHER = 2


class RootRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but tokens that changes the KV bits. Two equal records may share blocks; others never do.

    `scope` changes no bit: it is a random name that keeps what is private apart, and empty for everybody else.
    """

    format_version: int
    fingerprint: str
    """Effective model fingerprint, hex."""
    type_k: str
    type_v: str
    flash_attention: str
    rope: dict[str, float]
    block_tokens: int
    build: str
    backend: str
    threads: int
    scope: str = ""


def root_key(record: RootRecord) -> bytes:
    """The key before the first block: SHA-256 of the record as JSON with sorted keys and no spaces."""
    canonical = json.dumps(msgspec.to_builtins(record), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).digest()


def block_key(parent: bytes, kind: BlockKind, tokens: bytes) -> bytes:
    """SHA-256(parent ‖ kind as one byte ‖ tokens as little-endian u32): it commits to the whole prefix."""
    return hashlib.sha256(b"".join((parent, bytes((kind,)), tokens))).digest()


def effective_fingerprint(fingerprint: bytes, adapters: Iterable[tuple[bytes, float]]) -> bytes:
    """SHA-256 of the model's fingerprint and its sorted (adapter SHA-256, scale as little-endian f64) pairs."""
    pairs = (digest + struct.pack("<d", scale) for digest, scale in sorted(adapters))
    return hashlib.sha256(b"".join((fingerprint, *pairs))).digest()


def pack_tokens(tokens: Sequence[int]) -> bytes:
    """Tokens as little-endian u32. Raises OverflowError for a token below 0 or above 2³²-1."""
    return _little_endian(array(_U32, tokens)).tobytes()


def unpack_tokens(packed: bytes) -> list[int]:
    """The tokens that `pack_tokens` packed. Raises ValueError unless there is a whole number of them."""
    words = array(_U32)
    words.frombytes(packed)
    return _little_endian(words).tolist()


def _little_endian(words: array[int]) -> array[int]:
    if sys.byteorder == "big":
        words.byteswap()
    return words
