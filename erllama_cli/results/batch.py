"""What `erllama run --batch` prints of each record, on a line of its own."""

from __future__ import annotations

import msgspec

from erllama_daemon.messages import Failure, Stats

RecordId = str | int | None


class BatchAnswer(Stats, frozen=True, kw_only=True):
    """The answer to a record. `index` counts the records from 1; `id` is the record's own."""

    index: int
    id: RecordId = None


class BatchFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a record has no answer. `index` counts the records from 1; `id` is the record's own."""

    index: int
    id: RecordId = None
    error: Failure
