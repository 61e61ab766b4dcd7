"""Vectors as workers send them."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence


def unpack_vector(packed: bytes) -> list[float]:
    """The numbers of a vector: little-endian 32-bit ones."""
    numbers = array("f")
    numbers.frombytes(packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def pack_vector(vector: Sequence[float]) -> bytes:
    """The same bytes again."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
