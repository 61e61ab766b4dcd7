import hashlib
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erllama_cache.keys import (
    BlockKind,
    RootRecord,
    block_key,
    effective_fingerprint,
    pack_tokens,
    root_key,
    unpack_tokens,
)

TOKENS = st.lists(st.integers(0, 2**32 - 1))
RECORD = RootRecord(
    format_version=1,
    fingerprint="00" * 32,
    type_k="f16",
    type_v="f16",
    flash_attention="auto",
    rope={"freq_base": 10000.0, "freq_scale": 1.0},
    block_tokens=256,
    build="0.3.36",
    backend="cpu",
    threads=2,
    scope="s",
)


@given(TOKENS)
def test_packed_tokens_are_little_endian_u32_and_unpack_again(tokens: list[int]) -> None:
    assert pack_tokens(tokens) == struct.pack(f"<{len(tokens)}I", *tokens)
    assert unpack_tokens(pack_tokens(tokens)) == tokens


@pytest.mark.parametrize("token", [-1, 2**32])
def test_a_token_that_is_no_u32_is_refused(token: int) -> None:
    with pytest.raises(OverflowError):
        pack_tokens([token])


def test_a_torn_token_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        unpack_tokens(b"12345")


def test_a_block_key_is_the_documented_hash() -> None:
    parent, tokens = bytes(32), pack_tokens([1, 2])
    expected = hashlib.sha256(parent + b"\x01" + struct.pack("<2I", 1, 2)).digest()
    assert block_key(parent, BlockKind.GENERATED, tokens) == expected


@given(TOKENS, TOKENS)
def test_two_blocks_share_a_key_only_if_they_share_parent_kind_and_tokens(one: list[int], other: list[int]) -> None:
    keys = {
        block_key(bytes((parent,)) * 32, kind, pack_tokens(tokens))
        for parent in (0, 1)
        for kind in BlockKind
        for tokens in (one, other)
    }
    assert len(keys) == 2 * len(BlockKind) * len({tuple(one), tuple(other)})


@pytest.mark.parametrize("field", RootRecord.__struct_fields__)
def test_every_field_of_the_root_record_changes_the_root(field: str) -> None:
    value = getattr(RECORD, field)
    other = {**value, "extra": 1.0} if isinstance(value, dict) else value * 2
    assert root_key(msgspec.structs.replace(RECORD, **{field: other})) != root_key(RECORD)


def test_the_root_does_not_depend_on_the_order_of_overrides() -> None:
    turned = dict(reversed(RECORD.rope.items()))
    assert list(turned) != list(RECORD.rope)
    assert root_key(msgspec.structs.replace(RECORD, rope=turned)) == root_key(RECORD)


def test_the_effective_fingerprint_knows_adapters_and_scales_but_not_their_order() -> None:
    model, one, other = bytes(32), (b"a" * 32, 1.0), (b"b" * 32, 0.5)
    both = effective_fingerprint(model, [one, other])
    assert both == effective_fingerprint(model, [other, one])
    assert len({both, effective_fingerprint(model, []), effective_fingerprint(model, [one, (b"b" * 32, 0.6)])}) == 3
