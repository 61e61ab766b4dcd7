"""Small blocks to test with: four tokens at most, and a payload that names them."""

import hashlib
from collections.abc import Sequence

from erllama_cache.block import Block, SaveReason
from erllama_cache.keys import BlockKind, pack_tokens

ROOT = hashlib.sha256(b"a root").digest()
OTHER_ROOT = hashlib.sha256(b"another root").digest()
LOGITS = b"\x00\x00\x80\x3f" * 8
PAYLOAD_BYTES = 1000


def make_block(
    tokens: Sequence[int],
    after: Block | None = None,
    *,
    root: bytes = ROOT,
    kind: BlockKind = BlockKind.PREFILL,
    reason: SaveReason = SaveReason.COLD,
    logits: bytes = b"",
    payload_bytes: int = PAYLOAD_BYTES,
) -> Block:
    return Block(
        root=root,
        parent=after.key if after else root,
        kind=kind,
        start=after.end if after else 0,
        tokens=pack_tokens(tokens),
        reason=reason,
        logits=logits,
        payload=(repr(list(tokens)).encode() * payload_bytes)[:payload_bytes],
        created=1000.0,
    )


def make_chain(*spans: Sequence[int], root: bytes = ROOT, kind: BlockKind = BlockKind.PREFILL) -> list[Block]:
    chain: list[Block] = []
    for span in spans:
        chain.append(make_block(span, chain[-1] if chain else None, root=root, kind=kind))
    return chain
