"""Sizes as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([kmgt]?)(i?)b?", re.ASCII | re.IGNORECASE)
_UNITS = ("", "k", "m", "g", "t")


def parse_size(text: str) -> int:
    """Bytes: a number, alone or with a unit: 4096, 500MB, 2GiB, 1.5 TiB. Without the B, K, M, G and T mean KiB to TiB.

    Raises ValueError.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise ValueError(f"{text!r} is no size; write 4096, 500MB or 2GiB")
    is_binary = match[3] or not text.strip().lower().endswith("b")
    return int(float(match[1]) * (1024 if is_binary else 1000) ** _UNITS.index(match[2].lower()))
