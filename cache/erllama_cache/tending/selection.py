"""Which blocks somebody wants to be rid of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePath

from erllama_cache.disk.eviction import Candidate, choose
from erllama_cache.disk.row import Row
from erllama_cache.tending.survey import Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Blocks that answer to all that is said; what is None or empty says nothing.

    `unused_s` is for how many seconds a block has to be unused, `models` what its model may be called: by its user,
    or the last part of its path; `below` is a block that goes with all that extends it, `only` are the blocks to choose
    from. `freed_bytes` is how much room they are to make, the least valuable first.
    """

    unused_s: float | None = None
    models: Collection[str] = ()
    below: bytes | None = None
    only: Collection[bytes] | None = None
    freed_bytes: int | None = None

    def rows(self, survey: Survey, now: float) -> list[Row]:
        """What can go of it, in the order in which it can: neither what is pinned nor what carries others that stay.

        `now` in Unix seconds.
        """
        keys = {row.key for row in survey.rows.values() if self._takes(row, survey, now)}
        if self.below is not None:
            keys &= {self.below, *(row.key for row in survey.descendants(self.below))}
        if self.only is not None:
            keys &= set(self.only)
        if self.freed_bytes is None:
            return survey.removable(keys)
        spared = survey.rows.keys() - keys
        chosen = choose(map(Candidate.of, survey.rows.values()), self.freed_bytes, spared, now)
        return [survey.rows[block.key] for block in chosen]

    def _takes(self, row: Row, survey: Survey, now: float) -> bool:
        if self.unused_s is not None and now - row.used < self.unused_s:
            return False
        origin = survey.origins.get(row.root)
        names = (origin.model, PurePath(origin.model).name) if origin is not None else ()
        return not self.models or any(name in self.models for name in names)
