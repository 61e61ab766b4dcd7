"""Stored blocks computed again, one after the other, whenever the model has nothing else to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from erllama_cache.disk.row import Row
from erllama_cache.keys import BlockKind
from erllama_cache.store import Store
from erllama_cache.tending.survey import Survey, survey
from erllama_daemon import frames
from erllama_daemon.engine.engine import Engine
from erllama_daemon.engine.recheck import RecheckResult
from erllama_daemon.errors import AnswerCutOff
from erllama_daemon.failures import failure_of
from erllama_daemon.frames import FromWorker
from erllama_daemon.messages import Recomputed, WrongBlock
from erllama_daemon.worker.scheduler import Scheduler


@dataclass
class _Job:
    """One call. `todo` are chains, of which the last block is to be checked; `same` were found to be as they were."""

    call: frames.Recompute
    root: bytes
    draft: Recomputed
    total: int
    todo: deque[list[Row]]
    drawn: set[bytes]
    same: set[bytes] = field(default_factory=set)
    suspects: set[bytes] = field(default_factory=set)
    wrong: list[WrongBlock] = field(default_factory=list)
    gone: int = 0
    done: int = 0


class Recomputer:
    """Gives way to every request: one that comes ends the block under way, which is begun anew later.

    `start` reads the whole index, so it is for a thread that has time; it and `cancel` may be called from any.
    """

    def __init__(
        self, engine: Engine, scheduler: Scheduler, store: Store, model: str, send: Callable[[FromWorker], None]
    ) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._store = store
        self._model = model
        self._send = send
        self._running: set[int] = set()

    def start(self, call: frames.Recompute) -> None:
        """Draws the blocks of a call; what is not on disk yet is not among them."""
        try:
            self._running.add(call.id)
            job = self._draw(call, survey(self._store.directory))
        except Exception as error:
            self._running.discard(call.id)
            self._send(frames.Failed(call.id, failure_of(error)))
            return
        self._send(frames.Rechecked(call.id, 0, job.total))
        self._scheduler.call(lambda: self._go_on(job))

    def cancel(self, call_id: int) -> None:
        """Ends a call before its next block. An unknown or finished one is fine."""
        self._running.discard(call_id)

    def _draw(self, call: frames.Recompute, found: Survey) -> _Job:
        root = self._engine.inspection.attached_root
        own = sorted((row for row in found.rows.values() if row.root == root), key=lambda row: row.key)
        chains = {row.key: found.chain(row.key) for row in own if row.kind is not BlockKind.TOGETHER}
        whole = [key for key, chain in chains.items() if chain[0].start == 0]
        drawn = Random(call.seed).sample(whole, min(call.count, len(whole)))  # noqa: S311
        # The beginnings of chains first: what extends a wrong block is none to judge.
        todo = sorted((chains[key] for key in drawn), key=lambda chain: chain[-1].start)
        draft = Recomputed(
            model=self._model,
            seed=call.seed,
            checked=0,
            wrong=[],
            not_drawn=len(whole) - len(drawn),
            together=len(own) - len(chains),
            other_roots=len(found.rows) - len(own),
            unreachable=len(chains) - len(whole),
            gone=0,
        )
        return _Job(call, root, draft, len(drawn), deque(todo), set(drawn))

    def _go_on(self, job: _Job) -> None:
        """Engine's thread."""
        try:
            if self._scheduler.is_stopping or job.call.id not in self._running:
                raise AnswerCutOff
            if job.todo and self._scheduler.is_idle:
                self._check(job, job.todo.popleft())
        except Exception as error:
            self._running.discard(job.call.id)
            self._send(frames.Failed(job.call.id, failure_of(error)))
            return
        if job.todo:
            self._scheduler.call(lambda: self._go_on(job))
        else:
            self._running.discard(job.call.id)
            self._send(frames.RecomputeEnded(job.call.id, _result(job)))

    def _check(self, job: _Job, chain: list[Row]) -> None:
        row = chain[-1]
        result = (
            RecheckResult.SAME
            if row.key in job.same
            else self._engine.inspection.recheck(job.root, [each.key for each in chain], self._is_wanted)
        )
        match result:
            case RecheckResult.GAVE_WAY:
                job.todo.appendleft(chain)
                return
            case RecheckResult.WRONG if before := self._unchecked(job, chain):
                job.suspects.add(row.key)
                job.todo.extendleft(reversed([*before, chain]))
                return
            case RecheckResult.WRONG:
                self._store.quarantine(row.key)
                job.wrong.append(WrongBlock(key=row.key.hex(), start=row.start, tokens=row.n_tokens))
            case RecheckResult.GONE:
                job.gone += row.key in job.drawn
            case RecheckResult.SAME:
                job.same.add(row.key)
        if row.key in job.drawn:
            job.done += 1
            self._send(frames.Rechecked(job.call.id, job.done, job.total))

    def _unchecked(self, job: _Job, chain: list[Row]) -> list[list[Row]]:
        """The beginnings of a chain whose end came out wrong that may be what is really wrong; asked for once."""
        if chain[-1].key in job.suspects:
            return []
        return [
            chain[: length + 1]
            for length, row in enumerate(chain[:-1])
            if row.kind is not BlockKind.TOGETHER and row.key not in job.same
        ]

    def _is_wanted(self) -> bool:
        return self._scheduler.is_stopping or not self._scheduler.is_idle


def _result(job: _Job) -> Recomputed:
    return replace(job.draft, checked=len(job.same) + len(job.wrong), wrong=job.wrong, gone=job.gone)
