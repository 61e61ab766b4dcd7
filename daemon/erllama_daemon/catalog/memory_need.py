"""How much memory a model will take, before it is loaded.

What llama.cpp allocates follows from the model's shape: a KV buffer of so many cells for all layers, whatever window
they look at, since blocks could not be exported otherwise; a state for each sequence; and buffers in which one block is
computed at a time. Every prompt is read in a buffer of its own; requests that generate together share a second one.
"""

from __future__ import annotations

from erllama_daemon.catalog.shape import ModelShape
from erllama_daemon.choices import KV_NUMBER_BYTES
from erllama_daemon.messages import KvType, MemoryNeed, ModelOptions

BLOCK_TOKENS = 256
PARALLEL = 4
_CELLS = 256
"""A buffer's cells come in so many."""

_FLOAT_BYTES = 4
_MASK_BYTES = 2
_KV_SHARE_OF_MEMORY = 8
_SMALLEST_DEFAULT_CONTEXT = 2048


def memory_need(
    shape: ModelShape, *, trained: int, weights_bytes: int, options: ModelOptions, available: int | None
) -> MemoryNeed:
    """What a model takes that is loaded with these options. `trained` and the context are in tokens."""
    kv_type = options.kv_type or "f16"
    parallel = options.parallel or PARALLEL
    context = _context(shape, trained, kv_type, options.context_size, available)
    # One more sequence each: through it, states pass in and out.
    alone, together = _state(shape, context, kv_type, 2), _state(shape, context, kv_type, parallel + 1)
    computing = _compute(shape, context, BLOCK_TOKENS, options)
    return MemoryNeed(
        context_size=context,
        parallel=parallel,
        kv_type=kv_type,
        weights_bytes=weights_bytes,
        state_bytes=alone,
        compute_bytes=computing,
        total_bytes=weights_bytes + alone + computing,
        together_bytes=together + _compute(shape, context, parallel + 1, options) if parallel > 1 else 0,
    )


def _context(shape: ModelShape, trained: int, kv_type: KvType, asked: int | None, available: int | None) -> int:
    """As the worker chooses it, from as much as it knows."""
    if asked is not None:
        return min(asked, trained or asked)
    token_bytes = 2 * shape.first_keys * shape.layers * KV_NUMBER_BYTES[kv_type]
    fitting = _SMALLEST_DEFAULT_CONTEXT
    if available is not None:
        fitting = int(available / _KV_SHARE_OF_MEMORY / max(1.0, token_bytes))
        fitting -= fitting % BLOCK_TOKENS
    return min(trained or _SMALLEST_DEFAULT_CONTEXT, max(fitting, _SMALLEST_DEFAULT_CONTEXT))


def _state(shape: ModelShape, context: int, kv_type: KvType, sequences: int) -> int:
    cells = -(-context // _CELLS) * _CELLS
    kept = cells * (shape.keys + shape.values) * KV_NUMBER_BYTES[kv_type]
    return int(kept) + sequences * shape.state * _FLOAT_BYTES


def _compute(shape: ModelShape, context: int, tokens: int, options: ModelOptions) -> int:
    """What one batch of so many tokens is computed in: its scores of all words, or its widest layer and its masks."""
    words = _FLOAT_BYTES * (shape.vocabulary + 2 * shape.embedding)
    layer = _FLOAT_BYTES * (2 * shape.feed_forward + 4 * shape.embedding + 4 * shape.inner)
    masks = _MASK_BYTES * context * (2 if shape.window else 1) if shape.attending else 0
    if options.flash_attention == "off":
        masks += _FLOAT_BYTES * context * shape.heads
    return tokens * max(words, layer + masks)
