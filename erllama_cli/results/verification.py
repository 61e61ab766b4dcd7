"""What a verification says that also had blocks computed again."""

from __future__ import annotations

from typing import Self

import msgspec

from erllama_cache.tending.verification import Verdict
from erllama_daemon.messages import Recomputed


class RecomputedVerdict(Verdict, frozen=True, kw_only=True):
    """A verdict on the files, and what the model said of some of them."""

    recomputed: Recomputed

    @classmethod
    def of(cls, verdict: Verdict, recomputed: Recomputed) -> Self:
        """Both together."""
        return cls(**msgspec.structs.asdict(verdict), recomputed=recomputed)
