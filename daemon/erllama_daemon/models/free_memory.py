"""The memory that a model to be loaded can have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from erllama_daemon import memory
from erllama_daemon.models.worker_process import WorkerProcess


def free_bytes(available: int | None, workers: Iterable[WorkerProcess]) -> int | None:
    """What is left of the `available` bytes once the models that are being loaded have theirs. None is not known."""
    if available is None:
        return None
    loading = (worker for worker in workers if not worker.ready.done())
    promised = (
        memory.needed_bytes(Path(worker.configuration.path)) - memory.resident_bytes(worker.pid) for worker in loading
    )
    return available - sum(max(0, more) for more in promised)
