"""Ways in which a file goes bad, drawn at random."""

from __future__ import annotations

import random
from collections.abc import Callable

Damage = Callable[[bytes, random.Random], bytes]


def flip_bit(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def change_byte(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    damaged[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(damaged)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def append(data: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.randint(1, 64))


def zero(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    end = rng.randint(start + 1, len(data))
    return data[:start] + bytes(end - start) + data[end:]


def noise(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    some = rng.randbytes(rng.randint(1, 512))
    return data[:start] + some + data[start + len(some) :]


def move(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(1, len(data))
    return data[at:] + data[:at]


DAMAGES: tuple[Damage, ...] = (flip_bit, change_byte, cut, append, zero, noise, move)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Something else than `data`, made from it."""
    while (changed := rng.choice(DAMAGES)(data, rng)) == data:
        pass
    return changed
