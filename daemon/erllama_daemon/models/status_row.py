"""One loaded model, as a status shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, NamedTuple

from erllama_daemon import frames, memory
from erllama_daemon.messages import ModelStatus
from erllama_daemon.models.keeper import Keeper
from erllama_daemon.models.worker_process import WorkerProcess

STATUS_TIMEOUT_S = 2.0


class ObservedModel(NamedTuple):
    """A model that is loaded from `file`, and how far its requests are; none if its worker has not said so in time."""

    file: Path
    row: ModelStatus
    requests: list[frames.Progress]


async def observed(
    keeper: Keeper, worker: WorkerProcess, ask: Callable[[WorkerProcess], Awaitable[frames.Status | None]]
) -> ObservedModel:
    """A model at this moment; its worker is asked only while it can answer."""
    ready = worker.ready.result() if worker.is_ready else None
    status = await ask(worker) if ready is not None and not worker.is_stopping else None
    row = status_row(keeper, worker, ready, status)
    return ObservedModel(keeper.path.resolve(), row, status.requests if status else [])


async def asked_status(worker: WorkerProcess, number: int) -> frames.Status | None:
    """What a worker answers to a request of this number; None if it does not within `STATUS_TIMEOUT_S`."""
    try:
        answer = await asyncio.wait_for(worker.ask(frames.AskStatus(number)).get(), STATUS_TIMEOUT_S)
    except TimeoutError:
        return None
    finally:
        worker.forget(number)
    return answer if isinstance(answer, frames.Status) else None


def status_row(
    keeper: Keeper, worker: WorkerProcess, ready: frames.Ready | None, status: frames.Status | None
) -> ModelStatus:
    """What a worker said of itself, None for what it has not said, and what its keeper knows."""
    expires_s = keeper.expires_s
    return ModelStatus(
        id=worker.model,
        path=worker.configuration.path,
        pid=worker.pid,
        status=status.status if status else _unasked_status(worker),
        backend=ready.backend if ready else "",
        context_size=ready.context_size if ready else 0,
        quant_type=ready.quant_type if ready else "",
        quant_bits=ready.quant_bits if ready else 0.0,
        tier="disk",
        fingerprint=status.fingerprint if status else ready.fingerprint if ready else "",
        queue_depth=status.queue_depth if status else 0,
        live_sequences=status.live_sequences if status else 0,
        resident_bytes=memory.resident_bytes(worker.pid),
        ram_rows=status.ram_rows if status else 0,
        ram_bytes=status.ram_bytes if status else 0,
        ram_quota_bytes=status.ram_quota_bytes if status else 0,
        running=status.running if status else 0,
        parallel=ready.parallel if ready else worker.configuration.parallel,
        adapters=status.adapters if status else worker.adapters,
        idle_s=round(keeper.idle_s, 3),
        expires_s=None if expires_s is None else round(expires_s, 3),
    )


def _unasked_status(worker: WorkerProcess) -> Literal["loading", "idle", "prefilling"]:
    """What a worker that has not said so is doing."""
    if not worker.ready.done():
        return "loading"
    return "prefilling" if worker.running else "idle"
