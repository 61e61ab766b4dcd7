"""The ids of calls."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence

from erllama_cache.keys import pack_tokens
from erllama_daemon.tooling.call_format import CallFormat

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 24


def call_ids(format_: CallFormat, prompt: Sequence[int]) -> tuple[str, ...]:
    """An id for each call that the answer to a prompt may hold.

    They follow from the prompt alone: an id may be a part of the answer, and the same request has the same answer. No
    other call of the conversation has them, for every later prompt is longer.
    """
    digest = hashlib.sha256(pack_tokens(list(prompt))).digest()
    return tuple(_id(format_, digest + bytes([number])) for number in range(format_.most_calls))


def id_for(format_: CallFormat, call_id: str) -> str:
    """An id as the form of the calls wants it; one that came from elsewhere is replaced, always by the same."""
    length = format_.id_length
    if not length or (len(call_id) == length and call_id.isascii() and call_id.isalnum()):
        return call_id
    return _letters(call_id.encode(), length)


def _id(format_: CallFormat, origin: bytes) -> str:
    return _letters(origin, format_.id_length) if format_.id_length else "call_" + _letters(origin, _LENGTH)


def _letters(origin: bytes, length: int) -> str:
    number, letters = int.from_bytes(hashlib.sha256(origin).digest(), "little"), ""
    for _ in range(length):
        number, place = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[place]
    return letters
