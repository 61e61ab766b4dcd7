"""Durations as people write them."""

from __future__ import annotations

import math
import re

FOREVER_S = -1.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?([smhd]?)", re.ASCII)
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration_s(text: str) -> float:
    """A duration in seconds: a number with s, m, h or d, or without any; -1 for `forever`. Raises RequestInvalid."""
    if text in ("forever", "-1"):
        return FOREVER_S
    match = _DURATION.fullmatch(text)
    seconds = math.inf if match is None else float(match[1]) * _UNIT_S[match[2]]
    if math.isinf(seconds):
        from erllama_daemon.errors import RequestInvalid

        raise RequestInvalid(reason=f"{text!r} is no duration; write 30s, 10m, 2h, 0 or forever")
    return seconds
