"""The keeper of one model: loads it when it is wanted, replaces it, lets it go, and never under a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from erllama_cache.policy import Policy, PolicyKnobs
from erllama_daemon import frames
from erllama_daemon.messages import Adapter, AdapterChoice, ModelOptions
from erllama_daemon.models.deaths import Deaths
from erllama_daemon.models.worker_process import WorkerProcess

_LOAD_OPTIONS = tuple(name for name in ModelOptions.__struct_fields__ if name != "keep_alive_s")
"""The options that take a new worker to change. They have the same names in `Configure`."""


@dataclass(frozen=True, eq=False)
class Lease:
    """The promise that a worker is neither stopped nor replaced until `release` is called.

    One that `is_use` begins the model's time to live anew when it ends; another one leaves it as it was.
    """

    worker: WorkerProcess
    is_use: bool
    _release: Callable[[Lease], None]

    def release(self) -> None:
        """Ends the promise. May be called again."""
        self._release(self)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a new worker is started with. Its cache and the quotas are not filled in."""

    configuration: frames.Configure
    options: ModelOptions
    adapters: list[Adapter]
    on_exit: Callable[[WorkerProcess], None]


class Keeper:
    """The worker of one model file, from load to load. All calls from the event loop.

    What changes the worker goes through `_door`, one at a time and in order. Requests that fit the loaded worker pass
    by the door; while a change waits for the worker to be idle they do so only as long as a request that was there
    before it runs, so that the change is not put off for ever.

    What no request names is as the configuration has it, in `defaults`. Options last until the model is unloaded by
    name or by its `keep_alive`; attached adapters as long as the daemon. `called` is what it was loaded as.
    """

    def __init__(
        self,
        path: Path,
        start: Callable[[Start], Awaitable[WorkerProcess]],
        deaths: Deaths,
        clock: Callable[[], float],
        keep_alive_s: float,
        defaults: ModelOptions,
    ) -> None:
        self.path = path
        self.deaths = deaths
        self.worker: WorkerProcess | None = None
        self.called = path.name
        self.used = clock()
        self._start = start
        self._clock = clock
        self._default_keep_alive_s = keep_alive_s
        self._defaults = defaults
        self._door = asyncio.Lock()
        self._awaited: frozenset[object] = frozenset()
        self._kept_options = ModelOptions()
        self._kept_adapters: list[Adapter] = []
        self._expiry: asyncio.TimerHandle | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether the model is ready, and nobody has told it to end. Any thread."""
        worker = self.worker
        return worker is not None and worker.is_ready and not worker.is_stopping

    @property
    def why_wanted(self) -> str | None:
        """What somebody has made of the model that the next daemon would not know of; None for nothing."""
        if self._kept_adapters if self.worker is None else self.worker.adapters:
            return "a model has adapters attached"
        return "a model is loaded for ever" if self.worker is not None and self.expires_s is None else None

    @property
    def can_be_unloaded(self) -> bool:
        """Whether nobody would notice: it is loaded, and no request uses or awaits it."""
        worker = self.worker
        return worker is not None and self.is_loaded and not worker.leases and not self._door.locked()

    @property
    def idle_s(self) -> float:
        """How long nothing has been asked of the model; 0 while something is."""
        is_used = self.worker is not None and any(lease.is_use for lease in self.worker.leases)
        return 0.0 if is_used else max(0.0, self._clock() - self.used)

    @property
    def expires_s(self) -> float | None:
        """When the model will be unloaded, at the earliest; None for never."""
        keep_alive_s = self._keep_alive_s
        return None if keep_alive_s < 0 else max(0.0, keep_alive_s - self.idle_s)

    def is_ready(self, options: ModelOptions) -> bool:
        """Whether a request with these options would start at once."""
        return self.worker is not None and self.worker.is_ready and self._may_pass(options)

    async def acquire(self, model: str, options: ModelOptions) -> Lease:
        """The worker, loaded with these options or on its way to be. A lease that is waited for in vain is given back.

        Raises AnswerCutOff when the daemon stops.
        """
        if self.worker is not None and self._may_pass(options):
            return self._enter(self.worker, options)
        await self._door.acquire()
        try:
            if self.worker is not None and self.worker.is_usable and not _fits(self.worker, options):
                await self._until_idle(self.worker)
        except BaseException:
            self._door.release()
            raise
        # From here on nothing may be left half done: who is cancelled leaves the task to itself.
        change = asyncio.create_task(self._change(model, options))
        try:
            await asyncio.wait((change,))
        except asyncio.CancelledError:
            change.add_done_callback(_give_back)
            raise
        return change.result()

    def acquire_loaded(self) -> Lease | None:
        """The worker if it is loaded; never waits or loads, and is no use of the model."""
        worker = self.worker
        if worker is None or not self.is_loaded:
            return None
        return self._enter(worker, ModelOptions(), is_use=False)

    async def unload(self) -> bool:
        """Waits until the model is idle, has it saved and ended; whether it was loaded at all."""
        async with self._door:
            worker = self.worker
            if worker is None:
                return False
            await self._until_idle(worker)
            self._kept_options = ModelOptions()
            await worker.stop("asked")
            return True

    async def make_room(self) -> None:
        """Unloads an idle model for another's sake: its options are kept."""
        if (worker := self.worker) is not None:
            if not worker.is_stopping:
                self._kept_options = worker.options
            await worker.stop("memory is needed")

    def configure(self, defaults: ModelOptions) -> None:
        """Other defaults from the configuration: how long the model stays at once, all else for the next load."""
        self._defaults = defaults
        if self.worker is not None and not self.worker.leases:
            self._time_expiry(self.worker)

    def forget_adapter(self, adapter: str) -> None:
        """Leaves out an adapter at the next load, which its file may have made impossible: by path or handle."""
        self._kept_adapters = [
            each for each in self._kept_adapters if each.path != adapter and not each.handle.startswith(adapter)
        ]

    @property
    def _keep_alive_s(self) -> float:
        given = self.worker.options.keep_alive_s if self.worker is not None else None
        wanted = self._defaults.keep_alive_s if given is None else given
        return self._default_keep_alive_s if wanted is None else wanted

    def _may_pass(self, options: ModelOptions) -> bool:
        worker = self.worker
        if worker is None or not worker.is_usable or not _fits(worker, options):
            return False
        return not self._door.locked() or not self._awaited.isdisjoint(worker.leases)

    def _enter(self, worker: WorkerProcess, options: ModelOptions, *, is_use: bool = True) -> Lease:
        lease = Lease(worker, is_use, self._leave)
        worker.leases.add(lease)
        worker.idle.clear()
        self._forget_expiry()
        if options.keep_alive_s is not None:
            worker.options = msgspec.structs.replace(worker.options, keep_alive_s=options.keep_alive_s)
        return lease

    def _leave(self, lease: Lease) -> None:
        worker = lease.worker
        if lease not in worker.leases:
            return
        worker.leases.remove(lease)
        if lease.is_use:
            self.used = self._clock()
        if worker.leases:
            return
        worker.idle.set()
        if worker is self.worker:
            self._time_expiry(worker)

    def _time_expiry(self, worker: WorkerProcess) -> None:
        self._forget_expiry()
        if (expires_s := self.expires_s) is not None:
            self._expiry = asyncio.get_running_loop().call_later(expires_s, self._expire, worker)

    def _expire(self, worker: WorkerProcess) -> None:
        if worker is self.worker and not worker.leases and not worker.is_stopping:
            self._kept_options = ModelOptions()
            worker.begin_stop("keep_alive is over")

    def _forget_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    async def _until_idle(self, worker: WorkerProcess) -> None:
        self._awaited = frozenset(worker.leases)
        try:
            await worker.idle.wait()
        finally:
            self._awaited = frozenset()

    async def _change(self, model: str, options: ModelOptions) -> Lease:
        """Makes the worker fit, and opens the door. Nobody uses a worker that does not fit any more."""
        try:
            worker = self.worker
            if worker is not None and not (worker.is_usable and _fits(worker, options)):
                if worker.is_ready and not worker.is_stopping:
                    self._kept_options = worker.options
                await worker.stop("other options")
            if self.worker is None:
                self.worker = await self._load(model, _merged(self._kept_options, options))
            return self._enter(self.worker, options)
        finally:
            self._door.release()

    async def _load(self, model: str, options: ModelOptions) -> WorkerProcess:
        self.called, adapters = model, self._kept_adapters
        configuration = frames.Configure(
            model=model,
            path=str(self.path),
            cache="",
            ram_bytes=0,
            adapters=[AdapterChoice(adapter.path, adapter.scale) for adapter in adapters],
        )
        wanted = _merged(self._defaults, options)
        given = {name: value for name in _LOAD_OPTIONS if (value := getattr(wanted, name)) is not None}
        given["policy"] = Policy().with_knobs(wanted.policy or PolicyKnobs())
        return await self._start(
            Start(
                configuration=msgspec.structs.replace(configuration, **given),
                options=options,
                adapters=adapters,
                on_exit=self._on_exit,
            )
        )

    def _on_exit(self, worker: WorkerProcess) -> None:
        if worker is self.worker:
            self.worker = None
            self._forget_expiry()
            self._kept_adapters = worker.adapters
        if not worker.is_stopping:
            self.deaths.record(worker.running)
            if worker.is_ready:
                self._kept_options = worker.options


def _give_back(change: asyncio.Task[Lease]) -> None:
    if change.exception() is None:
        change.result().release()


def _fits(worker: WorkerProcess, wanted: ModelOptions) -> bool:
    """Whether a worker was loaded with the options that a request names."""
    for name in _LOAD_OPTIONS:
        want, have = getattr(wanted, name), getattr(worker.configuration, name)
        if want is None or want == have or (name == "policy" and have.with_knobs(want) == have):
            continue
        if name != "context_size" or not worker.is_ready or want != worker.ready.result().context_size:
            return False
    return True


def _merged(base: ModelOptions, given: ModelOptions) -> ModelOptions:
    if base.policy is not None and given.policy is not None:
        given = msgspec.structs.replace(given, policy=given.policy.over(base.policy))
    explicit = {name: value for name in base.__struct_fields__ if (value := getattr(given, name)) is not None}
    return msgspec.structs.replace(base, **explicit)
