"""Vectors as workers send them."""

from __future__ import annotations

import sys
from array import array


def unpack_vector(packed: bytes) -> list[float]:
    """The numbers of a vector: little-endian 32-bit ones."""
    numbers = array("f")
    numbers.frombytes(packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
