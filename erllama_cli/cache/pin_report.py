"""What all pins together keep on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from erllama_cli.cache.quota import disk_quota
from erllama_cli.results.cache import PinReport
from erllama_daemon.directories import Directories

if TYPE_CHECKING:
    from erllama_cache.tending.survey import Survey


def pin_report(keys: Sequence[bytes], directories: Directories) -> PinReport:
    """The report after some blocks were pinned or unpinned. Creates nothing."""
    from erllama_cache.tending.survey import survey

    kept = _kept_rows(survey(directories.cache))
    return PinReport(
        keys=[key.hex() for key in keys],
        pinned_blocks=len(kept),
        pinned_bytes=sum(kept.values()),
        quota_bytes=disk_quota(directories),
    )


def _kept_rows(found: Survey) -> dict[bytes, int]:
    """The sizes of all blocks that pins keep."""
    pinned = (row.key for row in found.rows.values() if row.is_pinned)
    return {row.key: row.file_bytes for key in pinned for row in found.chain(key)}
