"""The blocks of the cache, each for itself."""

from __future__ import annotations

from erllama_cli.cache.contents import Contents
from erllama_cli.results.cache import ListedBlock


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
