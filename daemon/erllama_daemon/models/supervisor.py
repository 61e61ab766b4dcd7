"""The supervisor: every model of a daemon, each in a worker process of its own, and the memory they share."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import msgspec

from erllama_daemon import frames, memory
from erllama_daemon.catalog.configured import configured_options
from erllama_daemon.config import KEEP_ALIVE_S, Config
from erllama_daemon.errors import AnswerCutOff
from erllama_daemon.messages import Evicted, Forgotten, ModelOptions, ModelStatus, Quotas
from erllama_daemon.models.deaths import Deaths
from erllama_daemon.models.free_memory import free_bytes
from erllama_daemon.models.keeper import Keeper, Lease, Start
from erllama_daemon.models.ram_budget import WATCH_PERIOD_S, RamBudget
from erllama_daemon.models.status_row import ObservedModel, asked_status, observed
from erllama_daemon.models.worker_answer import answer_to, unless_failed
from erllama_daemon.models.worker_process import OnLoading, Request, WorkerProcess

DEFAULTS = Config()

WORKER_COMMAND = (sys.executable, "-P", "-m", "erllama_daemon.worker")


class Supervisor:
    """The models of a daemon, one worker for each file; all calls from the event loop.

    `log` is where the workers print, `clock` gives seconds and never goes back, `available_bytes` says how much
    memory is left, or None if that is not known; every `watch_s` seconds the cache gives way to others who need it.
    """

    def __init__(
        self,
        cache: Path,
        *,
        log: Path,
        config: Config = DEFAULTS,
        keep_alive_s: float = KEEP_ALIVE_S,
        command: Sequence[str] = WORKER_COMMAND,
        clock: Callable[[], float] = time.monotonic,
        available_bytes: Callable[[], int | None] = memory.available_bytes,
        watch_s: float = WATCH_PERIOD_S,
    ) -> None:
        self._cache = cache
        self._log = log
        self._config = config
        self._keep_alive_s = keep_alive_s
        self._command = command
        self._clock = clock
        self._available_bytes = available_bytes
        self._keepers: dict[Path, Keeper] = {}
        self._quotas = config.cache.quotas
        self._ram = RamBudget(self._quotas.ram_bytes, self._workers, self._free_bytes, self._ask_status, watch_s)
        self._starting = asyncio.Lock()
        self._is_stopping = False
        self._ids = itertools.count(1)

    @property
    def quotas(self) -> Quotas:
        """What the cache may take now."""
        return msgspec.structs.replace(self._quotas, ram_bytes=self._ram.bytes)

    @property
    def config(self) -> Config:
        """How models are loaded. Any thread."""
        return self._config

    def next_id(self) -> int:
        """A number for a request, unique in this daemon."""
        return next(self._ids)

    async def acquire(
        self,
        model: str,
        path: Path,
        *,
        options: ModelOptions | None = None,
        request: Request | None = None,
        on_loading: OnLoading | None = None,
    ) -> Lease:
        """A model's worker, loaded and kept so until the lease is released. `on_loading` hears of a load.

        Raises what loading the model raised, AnswerCutOff when the daemon stops, and RequestKillsWorker if `request`
        is known for that.
        """
        keeper, options = await self._keeper(path), options or ModelOptions()
        if request is not None:
            keeper.deaths.check(model, request)
        if on_loading is not None and not keeper.is_ready(options):
            on_loading(0.0)
        lease = await keeper.acquire(model, options)
        try:
            await lease.worker.until_ready(on_loading)
        except BaseException:
            lease.release()
            raise
        return lease

    async def call(self, model: str, path: Path, call: frames.Call) -> frames.FromWorker:
        """The answer to a call; the model is loaded if it is not. Raises as `acquire` and what the worker answers.

        A call that a dying worker may never have seen is put to the next one, once.
        """
        answer, is_lost = await answer_to(await self.acquire(model, path, request=call), call)
        if is_lost:
            answer, _ = await answer_to(await self.acquire(model, path, request=call), call)
        return unless_failed(answer)

    async def follow(self, model: str, path: Path, call: frames.Call) -> AsyncGenerator[frames.FromWorker, None]:
        """All that a worker says to a call, without end; the model is loaded if it is not. Raises as `acquire`.

        Whoever has heard enough closes the generator, which also ends the call if it has not ended.
        """
        lease = await self.acquire(model, path, request=call)
        worker = lease.worker
        try:
            answers = worker.ask(call)
            while True:
                yield await answers.get()
        finally:
            worker.send(frames.Cancel(call.id))
            worker.forget(call.id)
            lease.release()

    async def evict(self, path: Path) -> Evicted:
        """Saves whatever is live of a model and lets go of what nobody uses. Neither loads the model nor keeps it."""
        keeper = self._keepers.get(path.resolve())
        lease = None if keeper is None else keeper.acquire_loaded()
        if lease is None:
            return Evicted(0, 0)
        answer = unless_failed((await answer_to(lease, frames.EvictLive(self.next_id())))[0])
        return Evicted(answer.sequences, answer.saved) if isinstance(answer, frames.LiveEvicted) else Evicted(0, 0)

    async def forget_scope(self, scope: str, worker: WorkerProcess | None = None) -> None:
        """Has every worker, or the one that had them all, let go of what the private requests of a scope have left.

        They must have ended.
        """
        workers = self._workers() if worker is None else [worker]
        await asyncio.gather(*(self._forget_scope(each, scope) for each in workers))

    async def forget(self, keys: list[bytes] | None) -> Forgotten:
        """Has every loaded model let go of blocks that somebody deleted, of all for None. None is kept by that."""
        leases = [lease for keeper in self._keepers.values() if (lease := keeper.acquire_loaded()) is not None]
        answers = await asyncio.gather(*(answer_to(lease, frames.Forget(self.next_id(), keys)) for lease in leases))
        # A worker that died meanwhile has forgotten everything.
        forgotten = [answer for answer, _is_lost in answers if isinstance(answer, frames.Forgotten)]
        return Forgotten(sum(each.sequences for each in forgotten), sum(each.blocks for each in forgotten))

    async def unload(self, path: Path) -> bool:
        """Waits until a model is idle, has it saved and ended; whether it was loaded at all."""
        keeper = self._keepers.get(path.resolve())
        return keeper is not None and await keeper.unload()

    def forget_adapter(self, path: Path, adapter: str) -> None:
        """Leaves out an adapter at the model's next load."""
        if (keeper := self._keepers.get(path.resolve())) is not None:
            keeper.forget_adapter(adapter)

    def configure(self, config: Config) -> None:
        """Another configuration: its quotas at once, how models are loaded at their next load."""
        self._config = config
        self._quotas = config.cache.quotas
        self._ram.resize(self._quotas.ram_bytes)
        for keeper in self._keepers.values():
            keeper.configure(configured_options(config, keeper.path.resolve()))
        for worker in self._workers():
            worker.limit_disk(self._quotas.disk_bytes, self._quotas.write_bytes_per_day)

    @property
    def holds_models(self) -> bool:
        """Whether a model is loaded, or on its way to be."""
        return bool(self._workers())

    @property
    def why_wanted(self) -> str | None:
        """What would be lost of the models if this daemon gave way to another; None for nothing. Blocks are not."""
        return next((why for keeper in self._keepers.values() if (why := keeper.why_wanted) is not None), None)

    @property
    def stop_timeout_s(self) -> float:
        """How long `stop` may take."""
        return max((worker.stop_timeout_s for worker in self._workers()), default=0.0)

    async def stop(self) -> None:
        """Stops every worker, for good; each saves what is live first."""
        self._is_stopping = True
        async with self._starting:
            await asyncio.gather(*(worker.stop("the daemon ends") for worker in self._workers()))

    def kill(self) -> None:
        """Ends every worker at once and for good; what is live is lost."""
        self._is_stopping = True
        for worker in self._workers():
            worker.kill()

    def loaded_files(self) -> frozenset[str]:
        """The files of the models that are loaded, behind all links. Any thread."""
        return frozenset(str(file) for file, keeper in [*self._keepers.items()] if keeper.is_loaded)

    @property
    def loaded_models(self) -> list[str]:
        """The models that are loaded or being loaded, as whoever asked first called them."""
        return [worker.model for worker in self._workers()]

    async def statuses(self) -> list[ModelStatus]:
        """One row for each worker, loading ones included."""
        return [each.row for each in await self.observed()]

    async def observed(self) -> list[ObservedModel]:
        """As `statuses`, with what each worker is busy with."""
        found = [(keeper, keeper.worker) for keeper in self._keepers.values()]
        seen = (self._observed(keeper, worker) for keeper, worker in found if worker is not None)
        return list(await asyncio.gather(*seen))

    async def status(self, lease: Lease) -> ModelStatus:
        """The row of one worker."""
        keeper = self._keepers[Path(lease.worker.configuration.path).resolve()]
        return (await self._observed(keeper, lease.worker)).row

    def deaths(self) -> list[tuple[Path, str, int]]:
        """How many workers of each file have died in this daemon's time, and what it is called."""
        return [(file, keeper.called, keeper.deaths.total) for file, keeper in self._keepers.items()]

    async def _keeper(self, path: Path) -> Keeper:
        """The keeper of a file, whatever links lead to it."""
        file = path.resolve()
        while file not in self._keepers:
            # The names of models are looked up in the stores, and others are answered meanwhile.
            config = self._config
            options = await asyncio.to_thread(configured_options, config, file)
            if config is self._config and file not in self._keepers:
                deaths = Deaths(self._clock, self._log)
                self._keepers[file] = Keeper(path, self._start, deaths, self._clock, self._keep_alive_s, options)
        return self._keepers[file]

    def _workers(self) -> list[WorkerProcess]:
        return [keeper.worker for keeper in self._keepers.values() if keeper.worker is not None]

    async def _start(self, start: Start) -> WorkerProcess:
        async with self._starting:
            if not self._is_stopping:
                await self._make_room(memory.needed_bytes(Path(start.configuration.path)))
            if self._is_stopping:
                raise AnswerCutOff

            def on_exit(worker: WorkerProcess) -> None:
                start.on_exit(worker)
                self._ram.announce()

            configuration = msgspec.structs.replace(
                start.configuration,
                cache=str(self._cache),
                ram_bytes=self._ram.share_of_next(),
                disk_bytes=self._quotas.disk_bytes,
                write_bytes_per_day=self._quotas.write_bytes_per_day,
            )
            worker = await WorkerProcess.start(self._command, configuration, start.options, start.adapters, on_exit)
            self._ram.announce(worker)
            return worker

    async def _make_room(self, needed: int) -> None:
        """Has the RAM tiers give up what is missing; then unloads models, the least recently used first."""
        if (free := self._free_bytes()) is not None and free < needed:
            await self._ram.give_up(needed - free)
        while (free := self._free_bytes()) is not None and free < needed:
            idle = [keeper for keeper in self._keepers.values() if keeper.can_be_unloaded]
            if not idle:
                return
            await min(idle, key=lambda keeper: keeper.used).make_room()

    def _free_bytes(self) -> int | None:
        return free_bytes(self._available_bytes(), self._workers())

    async def _observed(self, keeper: Keeper, worker: WorkerProcess) -> ObservedModel:
        return await observed(keeper, worker, self._ask_status)

    async def _forget_scope(self, worker: WorkerProcess, scope: str) -> None:
        if not worker.is_ready or worker.is_stopping:
            return  # it has computed nothing yet, or takes it along
        call = frames.ForgetScope(self.next_id(), scope)
        try:
            await worker.ask(call).get()
        finally:
            worker.forget(call.id)

    async def _ask_status(self, worker: WorkerProcess) -> frames.Status | None:
        return await asked_status(worker, self.next_id())
