"""How many values there are in a text of JSON, before any of them is made."""

from __future__ import annotations

from erllama_daemon.errors import RequestInvalid

CONTAINERS_LIMIT = 200_000
"""Objects and arrays in a body. The daemon takes microseconds for each, in which it serves nobody else."""

ITEMS_LIMIT = 4_000_000
"""What they may hold in all."""


def check_values(text: bytes) -> None:
    """Raises RequestInvalid for a body of more values than anybody has a use for. What stands in texts counts nothing.

    A text that is no JSON counts up to where it is none.
    """
    if _has_more(text) and _has_more(_without_strings(text)):
        raise RequestInvalid(
            reason=f"it has more than {CONTAINERS_LIMIT:,} objects and arrays, or {ITEMS_LIMIT:,} values in them"
        )


def _has_more(text: bytes) -> bool:
    return text.count(b"{") + text.count(b"[") > CONTAINERS_LIMIT or text.count(b",") > ITEMS_LIMIT


def _without_strings(text: bytes) -> bytes:
    import numpy as np  # only for who sends as much

    marks = np.frombuffer(text.replace(b"\\\\", b"").replace(b'\\"', b""), np.uint8)
    is_inside = np.bitwise_xor.accumulate(marks == ord('"'))
    return marks[~is_inside].tobytes()
