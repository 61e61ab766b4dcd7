"""Which blocks somebody wants to be rid of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePath

from erllama_cache.disk.eviction import Candidate, choose
from erllama_cache.disk.row import Row
from erllama_cache.errors import ModelNotCached
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

        `now` in Unix seconds. Raises ModelNotCached.
        """
        if self.models and not any(self._names(root, survey) for root in survey.roots):
            raise ModelNotCached(model=next(iter(self.models)))
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
        return not self.models or self._names(row.root, survey)

    def _names(self, root: bytes, survey: Survey) -> bool:
        origin = survey.origins.get(root)
        return origin is not None and not {origin.model, PurePath(origin.model).name}.isdisjoint(self.models)
