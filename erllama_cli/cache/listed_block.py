"""The blocks of the cache, each for itself."""

from __future__ import annotations

import msgspec

from erllama_cli.cache.contents import Contents


class ListedBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One block. `start` is the position of its first token, `tokens` how many it has, `value` in tokens a MiB,
    `created` and `used` in Unix seconds, `cost_s` how long it took to compute; `kind` says how.
    """

    key: str
    parent: str
    root: str
    model: str | None
    kind: str
    reason: str
    start: int
    tokens: int
    bytes: int
    hits: int
    created: float
    used: float
    cost_s: float
    value: float
    pinned: bool
    label: str


def listed_blocks(contents: Contents) -> list[ListedBlock]:
    """All blocks, in no order."""
    return [
        ListedBlock(
            key=row.key.hex(),
            parent=row.parent.hex(),
            root=row.root.hex(),
            model=contents.model(row.root),
            kind=row.kind.name.lower(),
            reason=row.reason.value,
            start=row.start,
            tokens=row.n_tokens,
            bytes=row.file_bytes,
            hits=row.hits,
            created=row.created,
            used=row.used,
            cost_s=row.cost_s,
            value=row.value(contents.now),
            pinned=row.is_pinned,
            label=row.label,
        )
        for row in contents.survey.rows.values()
    ]
