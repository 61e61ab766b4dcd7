"""One worker process: the frames that go in and out of it, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from erllama_daemon import frames
from erllama_daemon.errors import AnswerCutOff, WorkerDied
from erllama_daemon.frames import FromWorker, ToWorker
from erllama_daemon.log_line import facts
from erllama_daemon.messages import Adapter, Failure, ModelOptions, RemoteError
from erllama_daemon.models.worker_frames import read_frame
from erllama_daemon.models.worker_log import log_end, log_output, log_ready
from erllama_daemon.request_id import REQUEST_ID

log = logging.getLogger(__name__)

STOP_GRACE_S = 10.0
"""How long a worker may take to end besides its last saves, for which its policy sets the time."""

LAST_WORDS_S = 1.0

Request = frames.Generate | frames.Call
OnLoading = Callable[[float], None]
"""Called with how much of a model is loaded, from 0 to 1."""


class Interest(Protocol):
    """Somebody who counts on a worker. One who does not use its model only needs it not to end meanwhile."""

    @property
    def is_use(self) -> bool:
        """Whether it is to use the model."""


@dataclass(slots=True)
class _Open:
    """A request that has not been answered to its end."""

    request: Request
    answers: asyncio.Queue[FromWorker]
    is_queued: bool = False
    is_heard: bool = False


class WorkerProcess:
    """One running worker. All calls from the event loop.

    Each request has a queue of the frames that answer it; when the worker dies, every queue gets a `Failed`.
    `adapters` are those attached now. `leases` and `idle` belong to the keeper: who counts on this worker, and whether
    nobody does. `options` are those it was loaded with.
    """

    def __init__(
        self,
        process: Process,
        configuration: frames.Configure,
        options: ModelOptions,
        adapters: list[Adapter],
        on_exit: Callable[[WorkerProcess], None],
    ) -> None:
        self.configuration = configuration
        self.options = options
        self.adapters = adapters
        self.leases: set[Interest] = set()
        self.idle = asyncio.Event()
        self.idle.set()
        self.ready: asyncio.Future[frames.Ready] = asyncio.get_running_loop().create_future()
        self._process = process
        self._on_exit = on_exit
        self._ram_bytes = configuration.ram_bytes
        self._open: dict[int, _Open] = {}
        self._progress = 0.0
        self._watchers: list[OnLoading] = []
        self._ending: asyncio.Task[None] | None = None
        self._why: str | None = None
        self._started = time.monotonic()
        self._born = Context()
        self._born.run(REQUEST_ID.set, REQUEST_ID.get())
        # What it does later is not done for the request that had it started.
        self._printer = (
            None
            if process.stderr is None
            else asyncio.create_task(log_output(process.stderr, configuration.model, process.pid), context=Context())
        )
        self._reader = asyncio.create_task(self._read(), context=Context())

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        configuration: frames.Configure,
        options: ModelOptions,
        adapters: list[Adapter],
        on_exit: Callable[[WorkerProcess], None],
    ) -> Self:
        """A worker that begins to load its model. `on_exit` is called once, when its process has ended."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=1 << 24, cwd="/"
        )
        worker = cls(process, configuration, options, adapters, on_exit)
        log.info("worker started: %s", facts(model=worker.model, pid=worker.pid, file=configuration.path))
        worker.send(configuration)
        return worker

    @property
    def model(self) -> str:
        """What its first user called the model."""
        return self.configuration.model

    @property
    def file(self) -> Path:
        """The model's file, behind all links."""
        return Path(self.configuration.path).resolve()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether the model has been loaded."""
        return self.ready.done() and self.ready.exception() is None

    @property
    def is_stopping(self) -> bool:
        """Whether it has been told to end."""
        return self._ending is not None

    @property
    def is_usable(self) -> bool:
        """Whether a request may still be given to it: it is ready, or on its way to be."""
        return not self.is_stopping and not self._reader.done() and (self.is_ready or not self.ready.done())

    @property
    def stop_timeout_s(self) -> float:
        """How long it may take to end."""
        return self.configuration.policy.evict_save_timeout_ms / 1000 + STOP_GRACE_S

    @property
    def running(self) -> list[Request]:
        """The requests that it may be working on: neither ended nor known to be in its queue."""
        return [
            each.request
            for each in self._open.values()
            if not each.is_queued and not isinstance(each.request, frames.AskStatus)
        ]

    def send(self, frame: ToWorker) -> None:
        """Queues a frame for the worker. A worker that is gone answers through the queues, not here."""
        self._write(frames.encode(frame))

    def limit_ram(self, ram_bytes: int) -> None:
        """Sets how much its RAM tier may hold, if that is not what it may hold already."""
        if ram_bytes != self._ram_bytes:
            self._ram_bytes = ram_bytes
            self.send(frames.RamQuota(ram_bytes))

    def limit_disk(self, disk_bytes: int | None, write_bytes_per_day: int | None) -> None:
        """Sets what it may hold on disk, None for the default, and write to it in a day, None for any number."""
        self.send(frames.DiskQuota(disk_bytes, write_bytes_per_day))

    def ask(self, request: Request) -> asyncio.Queue[FromWorker]:
        """Sends a request and gives the queue of its answers; `forget` it after the last one.

        What cannot be encoded raises, and nothing was asked.
        """
        encoded = frames.encode(request)
        answers: asyncio.Queue[FromWorker] = asyncio.Queue()
        self._open[request.id] = _Open(request, answers)
        if self._reader.done():
            answers.put_nowait(frames.Failed(request.id, self._death()))
        else:
            self._write(encoded)
        return answers

    def is_lost(self, request_id: int) -> bool:
        """Whether a request that failed did so because the worker died before it said a word about it.

        The worker may have been dead when it was asked. One that was told to end loses nothing.
        """
        return not self._open[request_id].is_heard and not self.is_stopping

    def forget(self, request_id: int) -> None:
        """Ends the interest in a request's answers. Idempotent."""
        self._open.pop(request_id, None)

    async def until_ready(self, on_loading: OnLoading | None = None) -> None:
        """Waits until the model is loaded. Raises what loading it raised."""
        if on_loading is not None and not self.ready.done():
            self._watchers.append(on_loading)
            if self._progress:
                on_loading(self._progress)
        try:
            await asyncio.wait((self.ready,))
        finally:
            if on_loading in self._watchers:
                self._watchers.remove(on_loading)
        self.ready.result()

    def begin_stop(self, why: str) -> asyncio.Task[None]:
        """Tells the worker to save and exit; one that is still loading has nothing to save and is killed.

        Gives the task that ends with the process, always the same one. `why` is for the log.
        """
        if self._ending is None:
            self._why = why
            self._ending = asyncio.create_task(self._end_process())
        return self._ending

    async def stop(self, why: str) -> None:
        """`begin_stop`, and waits until the process is gone; one that takes too long is killed."""
        await asyncio.wait((self.begin_stop(why),))

    def kill(self) -> None:
        """Ends the process at once; nothing more is saved."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _write(self, encoded: bytes) -> None:
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(encoded)

    async def _end_process(self) -> None:
        if self.is_ready:
            self.send(frames.Shutdown())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), self.stop_timeout_s)
        if self._process.returncode is None:
            self.kill()
        await self._reader

    async def _read(self) -> None:
        stream = self._process.stdout
        try:
            while stream is not None:
                self._dispatch(await read_frame(stream))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except frames.FrameMalformed as error:
            log.error("a worker speaks nonsense: %s", facts(model=self.model, pid=self.pid, what=error))
            self.kill()
        except Exception:
            log.exception("the worker of %s cannot be heard", self.model)
            self.kill()
        await self._process.wait()
        if self._printer is not None:
            # Its last words come first, unless a process of its own still has the pipe.
            await asyncio.wait((self._printer,), timeout=LAST_WORDS_S)
            self._printer.cancel()
        is_clean = self.is_stopping and self._process.returncode == 0
        log_end(self.model, self.pid, self._why, self._end(), is_unload=is_clean and self.is_ready, is_clean=is_clean)
        if not self.ready.done():
            self._fail_loading(self._error(" while loading"))
        try:
            self._on_exit(self)
        finally:
            for request_id, each in self._open.items():
                each.answers.put_nowait(frames.Failed(request_id, self._death()))

    def _dispatch(self, frame: FromWorker) -> None:
        match frame:
            case frames.Ready() | frames.LoadFailed() if self.ready.done():
                raise frames.FrameMalformed("it has been loaded already")
            case frames.Ready():
                self._born.run(log_ready, frame, self.model, self.pid, time.monotonic() - self._started)
                self.ready.set_result(frame)
            case frames.LoadFailed():
                self._fail_loading(RemoteError(frame.failure))
            case frames.LoadProgress():
                self._progress = frame.progress
                for on_loading in list(self._watchers):
                    on_loading(frame.progress)
            case _:
                if isinstance(frame, frames.Adapters):
                    self.adapters = frame.adapters
                if (asked := self._open.get(frame.id)) is not None:
                    asked.is_heard = True
                    asked.is_queued = isinstance(frame, frames.Waiting)
                    asked.answers.put_nowait(frame)

    def _fail_loading(self, error: Exception) -> None:
        self.ready.set_exception(error)
        self.ready.exception()  # nobody may be waiting any more

    def _death(self) -> Failure:
        return Failure.of(self._error())

    def _error(self, when: str = "") -> AnswerCutOff | WorkerDied:
        """Why requests were left behind: a worker is stopped in the middle of them by the daemon's end alone."""
        return AnswerCutOff() if self.is_stopping else WorkerDied(model=self.model, reason=f"it {self._end()}{when}")

    def _end(self) -> str:
        code = self._process.returncode
        if code is not None and code < 0:
            known = {number.value: number.name for number in signal.Signals}
            return f"was killed by {known.get(-code, f'signal {-code}')}"
        return f"exited with code {code}"
