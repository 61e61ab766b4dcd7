"""What a worker answers to a call."""

from __future__ import annotations

import asyncio

from erllama_daemon import frames
from erllama_daemon.messages import RemoteError
from erllama_daemon.models.keeper import Lease


async def answer_to(lease: Lease, call: frames.Call) -> tuple[frames.FromWorker, bool]:
    """What a worker answers to a call, and whether the call was lost with the worker instead. Ends the lease."""
    worker = lease.worker
    try:
        answer = await worker.ask(call).get()
        return answer, isinstance(answer, frames.Failed) and worker.is_lost(call.id)
    except asyncio.CancelledError:
        worker.send(frames.Cancel(call.id))
        raise
    finally:
        worker.forget(call.id)
        lease.release()


def unless_failed(answer: frames.FromWorker) -> frames.FromWorker:
    """An answer that is none raises the failure that it is."""
    if isinstance(answer, frames.Failed):
        raise RemoteError(answer.failure)
    return answer
