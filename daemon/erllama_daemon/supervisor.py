"""The supervisor: starts a worker process for each model, passes frames, and notices a worker's death."""

from __future__ import annotations

import asyncio
import itertools
import logging
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path

from erllama_cache.quotas import default_ram_bytes
from erllama_daemon import frames
from erllama_daemon.errors import WorkerDied
from erllama_daemon.frames import FromWorker, ToWorker
from erllama_daemon.messages import Failure, ModelStatus, RemoteError

log = logging.getLogger(__name__)

STATUS_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 40.0
"""Longer than a worker waits for its own last saves."""


class WorkerProcess:
    """One running worker. All calls from the event loop.

    Each request has a queue of the frames that answer it; when the worker dies, every queue gets a `Failed`.
    """

    def __init__(self, model: str, path: Path, process: Process, on_exit: Callable[[WorkerProcess], None]) -> None:
        self.model = model
        self.path = path
        self.ready: asyncio.Future[frames.Ready] = asyncio.get_running_loop().create_future()
        self._process = process
        self._on_exit = on_exit
        self._answers: dict[int, asyncio.Queue[FromWorker]] = {}
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def requests(self) -> list[int]:
        """The ids that have not been answered to their end."""
        return list(self._answers)

    def send(self, frame: ToWorker) -> None:
        """Queues a frame for the worker. A worker that is gone answers through the queues, not here."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(frames.encode(frame))

    def ask(self, frame: frames.Generate | frames.AskStatus) -> asyncio.Queue[FromWorker]:
        """Sends a request and gives the queue of its answers; `forget` it after the last one."""
        queue: asyncio.Queue[FromWorker] = asyncio.Queue()
        self._answers[frame.id] = queue
        if self._reader.done():
            queue.put_nowait(frames.Failed(frame.id, self._death()))
        else:
            self.send(frame)
        return queue

    def forget(self, request_id: int) -> None:
        """Ends the interest in a request's answers."""
        self._answers.pop(request_id, None)

    async def stop(self) -> None:
        """Asks the worker to save and exit, and waits for it; kills it if it does not."""
        self.send(frames.Shutdown())
        try:
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
        await self._reader

    async def _read(self) -> None:
        stream = self._process.stdout
        try:
            while stream is not None:
                prefix = await stream.readexactly(frames.LENGTH_BYTES)
                body = await stream.readexactly(frames.body_length(prefix))
                self._dispatch(frames.from_worker_decoder.decode(body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception:
            log.exception("the worker of %s speaks nonsense", self.model)
            self._process.kill()
        await self._process.wait()
        log.info("worker ended: model=%s pid=%d, it %s", self.model, self.pid, self._end())
        if not self.ready.done():
            self.ready.set_exception(WorkerDied(model=self.model, reason=f"it {self._end()} while loading"))
            self.ready.exception()  # nobody may be waiting any more
        for request_id, queue in self._answers.items():
            queue.put_nowait(frames.Failed(request_id, self._death()))
        self._on_exit(self)

    def _dispatch(self, frame: FromWorker) -> None:
        match frame:
            case frames.Ready():
                self.ready.set_result(frame)
            case frames.LoadFailed():
                self.ready.set_exception(RemoteError(frame.failure))
                self.ready.exception()
            case _:
                if (queue := self._answers.get(frame.id)) is not None:
                    queue.put_nowait(frame)

    def _death(self) -> Failure:
        return Failure.of(WorkerDied(model=self.model, reason=f"it {self._end()}"))

    def _end(self) -> str:
        code = self._process.returncode
        if code is not None and code < 0:
            known = {number.value: number.name for number in signal.Signals}
            return f"was killed by {known.get(-code, f'signal {-code}')}"
        return f"exited with code {code}"


class Supervisor:
    """The workers of a daemon, one for each model file; all calls from the event loop."""

    def __init__(self, cache: Path, *, ram_bytes: int | None = None) -> None:
        self._cache = cache
        self._ram_bytes = default_ram_bytes() if ram_bytes is None else ram_bytes
        self._workers: dict[Path, WorkerProcess] = {}
        self._starting = asyncio.Lock()
        self._ids = itertools.count(1)

    def next_id(self) -> int:
        """A number for a request, unique in this daemon."""
        return next(self._ids)

    def is_ready(self, path: Path) -> bool:
        """Whether a request to this model would start at once."""
        worker = self._workers.get(path)
        return worker is not None and worker.ready.done()

    async def worker(self, model: str, path: Path) -> WorkerProcess:
        """The worker of a model, started if there is none and ready. Raises what loading the model raised."""
        async with self._starting:
            worker = self._workers.get(path)
            if worker is None:
                worker = self._workers[path] = await self._start(model, path)
        await asyncio.shield(worker.ready)
        return worker

    def cancel_all(self) -> None:
        """Ends every request at its next tick."""
        for worker in self._workers.values():
            for request_id in worker.requests:
                worker.send(frames.Cancel(request_id))

    async def stop(self) -> None:
        """Stops every worker; each saves what is live first."""
        await asyncio.gather(*(worker.stop() for worker in list(self._workers.values())))

    async def statuses(self) -> list[ModelStatus]:
        """One row for each worker, loading ones included."""
        return list(await asyncio.gather(*(self._status(worker) for worker in list(self._workers.values()))))

    async def _start(self, model: str, path: Path) -> WorkerProcess:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "erllama_daemon.worker", stdin=PIPE, stdout=PIPE, limit=1 << 24, cwd="/"
        )
        worker = WorkerProcess(model, path, process, self._remove)
        log.info("worker started: model=%s pid=%d", model, worker.pid)
        share = self._ram_bytes // (len(self._workers) + 1)
        worker.send(frames.Configure(model=model, path=str(path), cache=str(self._cache), ram_bytes=share))
        for other in self._workers.values():
            other.send(frames.RamQuota(share))
        return worker

    def _remove(self, worker: WorkerProcess) -> None:
        if self._workers.get(worker.path) is worker:
            del self._workers[worker.path]
        for other in self._workers.values():
            other.send(frames.RamQuota(self._ram_bytes // len(self._workers)))

    async def _status(self, worker: WorkerProcess) -> ModelStatus:
        ready = worker.ready.result() if worker.ready.done() and not worker.ready.exception() else None
        status = await self._ask_status(worker) if ready is not None else None
        return ModelStatus(
            id=worker.model,
            path=str(worker.path),
            pid=worker.pid,
            status=status.status if status else "loading",
            backend=ready.backend if ready else "",
            context_size=ready.context_size if ready else 0,
            quant_type=ready.quant_type if ready else "",
            quant_bits=ready.quant_bits if ready else 0.0,
            tier="disk",
            fingerprint=ready.fingerprint if ready else "",
            queue_depth=status.queue_depth if status else 0,
            live_sequences=status.live_sequences if status else 0,
            resident_bytes=_resident_bytes(worker.pid),
            ram_rows=status.ram_rows if status else 0,
            ram_bytes=status.ram_bytes if status else 0,
            ram_quota_bytes=status.ram_quota_bytes if status else 0,
        )

    async def _ask_status(self, worker: WorkerProcess) -> frames.Status | None:
        request = frames.AskStatus(self.next_id())
        queue = worker.ask(request)
        try:
            answer = await asyncio.wait_for(queue.get(), STATUS_TIMEOUT_S)
        except TimeoutError:
            return None
        finally:
            worker.forget(request.id)
        return answer if isinstance(answer, frames.Status) else None


def _resident_bytes(pid: int) -> int:
    """The memory of a process; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize()
