"""Calls: frames with one answer, served at any time, whatever is being generated."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from erllama_cache.store import Store
from erllama_daemon import frames
from erllama_daemon.engine.adapters import AdapterShelf
from erllama_daemon.engine.engine import Engine
from erllama_daemon.engine.explanation import Explainer
from erllama_daemon.engine.generation import Generation
from erllama_daemon.failures import failure_of
from erllama_daemon.frames import CallAnswer, FromWorker
from erllama_daemon.worker.desk import Desk
from erllama_daemon.worker.embedder import Embedder
from erllama_daemon.worker.progress import progress_of
from erllama_daemon.worker.recomputer import Recomputer
from erllama_daemon.worker.scheduler import Scheduler


class Calls:
    """What needs the engine is done between two ticks; the rest on a thread of its own, at once.

    `handle` may be called from any thread. Each call is answered by its own frame, or by `Failed`.
    """

    def __init__(
        self,
        desk: Desk,
        embedder: Embedder,
        explainer: Explainer,
        recomputer: Recomputer,
        engine: Engine,
        scheduler: Scheduler,
        shelf: AdapterShelf,
        store: Store,
        send: Callable[[FromWorker], None],
        *,
        flush_s: float,
    ) -> None:
        self._desk = desk
        self._embedder = embedder
        self._explainer = explainer
        self._recomputer = recomputer
        self._engine = engine
        self._scheduler = scheduler
        self._shelf = shelf
        self._store = store
        self._send = send
        self._flush_s = flush_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="calls")

    def handle(self, call: frames.Call) -> None:
        """Serves a call, now or soon."""
        match call:
            case frames.AskStatus():
                self._answer(call.id, lambda: self._status(call.id))
            case frames.Tokenize():
                self._thread.submit(self._answer, call.id, lambda: self._desk.tokenize(call))
            case frames.Detokenize():
                self._thread.submit(self._answer, call.id, lambda: self._desk.detokenize(call))
            case frames.Render():
                self._thread.submit(self._answer, call.id, lambda: self._desk.render(call))
            case frames.Embed():
                self._embedder.expect(call.id)
                self._scheduler.call(lambda: self._embedder.start(call))
            case frames.Explain():
                self._thread.submit(self._explain, call)
            case frames.Recompute():
                self._thread.submit(self._recomputer.start, call)
            case frames.ForgetScope():
                self._scheduler.call(lambda: self._answer(call.id, lambda: self._forget(call)))
            case frames.EvictLive():
                self._scheduler.call(lambda: self._evict(call))
            case frames.Forget():
                self._scheduler.call(lambda: self._answer(call.id, lambda: self._forget_deleted(call)))
            case _:
                self._scheduler.call(lambda: self._answer(call.id, lambda: self._change_adapters(call)))

    def cancel(self, call_id: int) -> None:
        """Ends a call that takes its time. Any other one, or none at all, is fine."""
        self._recomputer.cancel(call_id)
        self._embedder.cancel(call_id)

    def close(self) -> None:
        """Ends the thread; calls that wait are dropped."""
        self._thread.shutdown(cancel_futures=True)

    def _answer(self, call_id: int, serve: Callable[[], CallAnswer]) -> None:
        try:
            self._send(serve())
        except Exception as error:
            self._send(frames.Failed(call_id, failure_of(error)))

    def _status(self, call_id: int) -> frames.Status:
        ram, attached = self._store.ram_stats(), self._shelf.attached
        return frames.Status(
            id=call_id,
            status=self._scheduler.status,
            queue_depth=self._scheduler.queue_depth,
            running=self._scheduler.running,
            live_sequences=self._engine.live_sequences,
            ram_rows=ram.rows,
            ram_bytes=ram.bytes,
            ram_quota_bytes=ram.quota_bytes,
            fingerprint=attached.fingerprint.hex(),
            adapters=list(attached.adapters),
            requests=[progress_of(generation) for generation in self._scheduler.requests],
        )

    def _explain(self, call: frames.Explain) -> None:
        """Rendered and looked up here; the engine is only asked for what it alone knows."""
        try:
            generation = self._desk.unasked(call)
        except Exception as error:
            self._send(frames.Failed(call.id, failure_of(error)))
            return
        self._scheduler.call(lambda: self._look_live(call, generation))

    def _look_live(self, call: frames.Explain, generation: Generation) -> None:
        try:
            live = self._engine.inspection.preview(generation)
        except Exception as error:
            self._send(frames.Failed(call.id, failure_of(error)))
            return
        self._thread.submit(
            self._answer, call.id, lambda: frames.Explained(call.id, self._explainer.explain(generation, live))
        )

    def _evict(self, call: frames.EvictLive) -> None:
        try:
            sequences, saved = self._scheduler.evict()
        except Exception as error:
            self._send(frames.Failed(call.id, failure_of(error)))
            return
        # A slow disk is waited for elsewhere: here it would stop every answer.
        self._thread.submit(self._answer, call.id, lambda: self._flushed(call, sequences, saved))

    def _flushed(self, call: frames.EvictLive, sequences: int, saved: int) -> frames.LiveEvicted:
        self._store.flush(self._flush_s)
        return frames.LiveEvicted(call.id, sequences, saved)

    def _forget(self, call: frames.ForgetScope) -> frames.ScopeForgotten:
        self._engine.forget_scope(call.scope)
        return frames.ScopeForgotten(call.id)

    def _forget_deleted(self, call: frames.Forget) -> frames.Forgotten:
        keys = None if call.keys is None else set(call.keys)
        return frames.Forgotten(call.id, self._engine.forget_deleted(keys), self._store.forget(keys))

    def _change_adapters(self, call: frames.Call) -> frames.Adapters:
        match call:
            case frames.LoadAdapter():
                self._shelf.attach(call.path, call.scale)
            case frames.UnloadAdapter():
                self._shelf.detach(call.adapter)
            case frames.ScaleAdapter():
                self._shelf.rescale(call.adapter, call.scale)
        attached = self._shelf.attached
        return frames.Adapters(call.id, list(attached.adapters), attached.fingerprint.hex())
