"""What tells two roots apart."""

from __future__ import annotations

import msgspec


class Difference(msgspec.Struct, frozen=True):
    """One thing in which two roots differ, in words: what it is, how it is there, and how it is here."""

    name: str
    there: str
    here: str
