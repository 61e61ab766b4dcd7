"""Where a run of tokens is cut into blocks."""

from __future__ import annotations

from collections.abc import Iterable

MIN_SPAN = 16
"""Tokens. A breakpoint nearer than this to the last cut does not cut."""


def cuts(
    length: int,
    breakpoints: Iterable[int] = (),
    *,
    block_tokens: int = 256,
    min_span: int = MIN_SPAN,
    start: int = 0,
) -> list[int]:
    """The block ends of tokens [start, length): strictly increasing, the last one `length`; [] if there are none.

    A block is cut when it holds `block_tokens`, and at a breakpoint at least `min_span` tokens after the last
    cut; a nearer breakpoint is passed over, so that its span joins the next. `length` always cuts. Every cut
    but that one depends on what came before it alone: equal prefixes with equal breakpoints are cut equally.
    Positions are in tokens. Raises ValueError if `length` < `start` or `block_tokens` < 1.
    """
    if length < start or block_tokens < 1:
        raise ValueError(f"cannot cut [{start}, {length}) into blocks of {block_tokens} tokens")
    inner = sorted({point for point in breakpoints if start < point < length})
    ends: list[int] = []
    last = start
    for point in (*inner, length):
        while point - last > block_tokens:
            last += block_tokens
            ends.append(last)
        if last < point and (point == length or point - last >= min_span):
            last = point
            ends.append(last)
    return ends
