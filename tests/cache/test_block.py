from pathlib import Path

import pytest
from cache.samples import LOGITS, OTHER_ROOT, ROOT, make_block, make_chain
from hypothesis import given
from hypothesis import strategies as st

from erllama_cache.block import HEADER_BYTES, Block, SaveReason, decode, encode
from erllama_cache.errors import BlockCorrupt
from erllama_cache.keys import BlockKind, pack_tokens

PATH = Path("a.kv")


def encoded(block: Block) -> bytes:
    return b"".join(encode(block))


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8),
    st.sampled_from(BlockKind),
    st.sampled_from(SaveReason),
    st.binary(max_size=64),
    st.binary(max_size=64),
)
def test_a_block_comes_back_as_it_was(
    tokens: list[int], kind: BlockKind, reason: SaveReason, logits: bytes, payload: bytes
) -> None:
    block = Block(
        root=ROOT,
        parent=ROOT,
        kind=kind,
        start=0,
        tokens=pack_tokens(tokens),
        reason=reason,
        logits=logits,
        payload=payload,
        created=12.5,
    )
    assert decode(encoded(block), PATH) == block
    assert len(encoded(block)) == block.file_bytes


def test_the_payload_is_never_copied() -> None:
    payload = memoryview(bytearray(b"state"))
    block = Block(
        root=ROOT, parent=ROOT, kind=BlockKind.PREFILL, start=0, tokens=b"1234", reason=SaveReason.COLD, payload=payload
    )
    assert encode(block)[-1] is payload
    data = encoded(block)
    restored = decode(data, PATH).payload
    assert isinstance(restored, memoryview)
    assert restored.obj is data


def test_every_single_damaged_byte_is_noticed() -> None:
    data = encoded(make_block([1, 2, 3], logits=LOGITS, payload_bytes=50))
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with pytest.raises(BlockCorrupt):
            decode(bytes(damaged), PATH)


def test_every_truncation_and_extension_is_noticed() -> None:
    data = encoded(make_block([1, 2, 3], logits=LOGITS, payload_bytes=50))
    for damaged in (*(data[:length] for length in range(len(data))), data + b"\0"):
        with pytest.raises(BlockCorrupt):
            decode(damaged, PATH)


def test_a_block_knows_its_place() -> None:
    first, second = make_chain([1, 2, 3, 4], [5, 6])
    assert (second.start, second.end, second.n_tokens, second.parent) == (4, 6, 2, first.key)
    assert second.size == second.file_bytes - HEADER_BYTES == 2 * 4 + 1000


@pytest.mark.parametrize(
    "changes",
    [{"root": b"short"}, {"parent": OTHER_ROOT}, {"start": 4}, {"start": -1}, {"tokens": b""}, {"tokens": b"12345"}],
)
def test_a_block_that_contradicts_itself_cannot_be_made(changes: dict[str, object]) -> None:
    fields: dict[str, object] = {"root": ROOT, "parent": ROOT, "start": 0, "tokens": b"1234"} | changes
    root, parent, start, tokens = fields["root"], fields["parent"], fields["start"], fields["tokens"]
    assert isinstance(root, bytes)
    assert isinstance(parent, bytes)
    assert isinstance(start, int)
    assert isinstance(tokens, bytes)
    with pytest.raises(ValueError, match=r"."):
        Block(
            root=root,
            parent=parent,
            kind=BlockKind.PREFILL,
            start=start,
            tokens=tokens,
            reason=SaveReason.COLD,
            payload=b"",
        )
