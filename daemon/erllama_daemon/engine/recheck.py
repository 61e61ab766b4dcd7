"""Computing a stored block again, to see that every bit of it is what its tokens give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum

from erllama_cache.block import Block
from erllama_cache.keys import BlockKind, unpack_tokens
from erllama_cache.store import Store
from erllama_cache.tending.verification import recheck
from erllama_daemon.engine.backend import AdapterSet, Buffer, ComputeFailed, Logits, Run
from erllama_daemon.engine.solo import SEQUENCE
from erllama_daemon.errors import DecodeFailed


class RecheckResult(Enum):
    """What came of it: every bit is as before, or not; a block of the chain is gone; somebody needed the model."""

    SAME = "same"
    WRONG = "wrong"
    GONE = "gone"
    GAVE_WAY = "gave way"


def recheck_block(
    store: Store, buffer: Buffer, keys: Sequence[bytes], adapters: AdapterSet, is_wanted: Callable[[], bool]
) -> RecheckResult:
    """Restores a chain up to its last block, computes that one as it was computed before, and compares.

    A prompt's block takes one decode, a generated one a decode a token; one that was generated together cannot be had
    again. The buffer is empty and the caller's, and empty afterwards; blocks are read from disk and not kept in memory.
    `is_wanted` is asked between two decodes. Engine's thread only. Raises DecodeFailed if the model cannot compute:
    that says nothing of the block.
    """
    try:
        buffer.use_adapters(adapters)
        for key in keys[:-1]:
            if is_wanted():
                return RecheckResult.GAVE_WAY
            before = store.load_from_disk(key)
            if before is None:
                return RecheckResult.GONE
            if not _restores(before, buffer):
                return RecheckResult.WRONG
        block = store.load_from_disk(keys[-1])
        if block is None:
            return RecheckResult.GONE
        again = _computed_again(block, buffer, is_wanted)
        if again is None:
            return RecheckResult.GAVE_WAY
        return RecheckResult.SAME if recheck(block, again) else RecheckResult.WRONG
    except ComputeFailed as error:
        raise DecodeFailed(reason=str(error)) from error
    finally:
        buffer.clear()


def _restores(block: Block, buffer: Buffer) -> bool:
    try:
        buffer.restore(SEQUENCE, block.payload, block.start, block.end)
    except ComputeFailed:
        return False
    return True


def _computed_again(block: Block, buffer: Buffer, is_wanted: Callable[[], bool]) -> Block | None:
    """The block as the model gives it now; None if it had to give way. Raises ComputeFailed."""
    tokens = unpack_tokens(block.tokens)
    step = len(tokens) if block.kind is BlockKind.PREFILL else 1
    logits: Logits | None = None
    for first in range(0, len(tokens), step):
        if is_wanted():
            return None
        (logits,) = buffer.decode([Run(SEQUENCE, tokens[first : first + step], block.start + first)])
    data = b"" if logits is None else logits.astype("<f4", copy=False).tobytes()
    return replace(block, payload=buffer.export(SEQUENCE, block.start, block.end), logits=data)
