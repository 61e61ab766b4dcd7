"""Stored blocks computed again by the model, for `erllama cache verify --recompute`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from erllama_cli.client import Client
from erllama_daemon.messages import Recomputed, RecomputeRequest, Recomputing


def recompute_blocks(client: Client, request: RecomputeRequest, on_progress: Callable[[int, int], None]) -> Recomputed:
    """Has some blocks computed again, and says what was found; `on_progress` hears how many of how many are done.

    Wrong ones are in quarantine then. Whatever ends this early hangs up, which ends the work.
    """
    with closing(client.recompute(request)) as events:
        for event in events:
            if isinstance(event, Recomputing):
                on_progress(event.done, event.total)
            else:
                return event
    raise AssertionError("a recomputation ends with Recomputed or raises")


def findings(result: Recomputed) -> Iterator[str]:
    """What a person is told, a sentence a line."""
    for block in result.wrong:
        yield f"wrong: {block.key}: tokens {block.start + 1:,} to {block.start + block.tokens:,}; set aside"
    others = {
        "not drawn": result.not_drawn,
        "generated beside others, which has other bits each time": result.together,
        "of other models or settings": result.other_roots,
        "unreachable": result.unreachable,
        "gone meanwhile": result.gone,
    }
    left = ", ".join(f"{count:,} {words}" for words, count in others.items() if count)
    right = result.checked - len(result.wrong)
    yield f"{right:,} of {result.checked:,} blocks computed again have every bit they had"
    if left:
        yield f"not checked: {left}"
