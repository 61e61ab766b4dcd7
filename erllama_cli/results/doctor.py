"""What `erllama doctor` finds."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["ok", "warning", "failed"]
"""All is well; something works worse than it could, or will not for long; something does not work."""


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at: what was found, and what to do about it, None if nothing has to be done."""

    name: str
    state: State
    finding: str
    remedy: str | None = None


class Examination(msgspec.Struct, frozen=True):
    """What `doctor --json` prints. `sound` is false if any check failed; warnings do not count."""

    sound: bool
    checks: list[Check]
