"""Calls: frames with one answer, served at any time, whatever is being generated."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from erllama_cache.cuts import cuts
from erllama_cache.errors import ErllamaError
from erllama_cache.keys import pack_tokens, unpack_tokens
from erllama_cache.store import Store
from erllama_daemon import frames
from erllama_daemon.adapters import AdapterShelf
from erllama_daemon.backend import Backend, ComputeFailed
from erllama_daemon.engine import Engine
from erllama_daemon.errors import (
    ContextExceeded,
    DecodeFailed,
    EmbeddingEmpty,
    InternalError,
    NotSupported,
    TokenUnknown,
)
from erllama_daemon.frames import CallAnswer, FromWorker
from erllama_daemon.messages import Failure
from erllama_daemon.prompt import tokenize_rendered
from erllama_daemon.scheduler import Scheduler

log = logging.getLogger(__name__)


class Calls:
    """What needs the engine is done between two ticks; the rest on a thread of its own, at once.

    `handle` may be called from any thread. Each call is answered by its own frame, or by `Failed`.
    """

    def __init__(
        self,
        model: str,
        engine: Engine,
        scheduler: Scheduler,
        shelf: AdapterShelf,
        backend: Backend,
        store: Store,
        send: Callable[[FromWorker], None],
        *,
        block_tokens: int,
    ) -> None:
        self._model = model
        self._engine = engine
        self._scheduler = scheduler
        self._shelf = shelf
        self._backend = backend
        self._store = store
        self._send = send
        self._block_tokens = block_tokens
        self._desk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="calls")

    def handle(self, call: frames.Call) -> None:
        """Serves a call, now or soon."""
        match call:
            case frames.AskStatus():
                self._answer(call.id, lambda: self._status(call.id))
            case frames.Tokenize():
                self._desk.submit(self._answer, call.id, lambda: self._tokenize(call))
            case frames.Detokenize():
                self._desk.submit(self._answer, call.id, lambda: self._detokenize(call))
            case frames.Render():
                self._desk.submit(self._answer, call.id, lambda: self._render(call))
            case frames.Embed():
                self._scheduler.call(lambda: self._start_embedding(call))
            case frames.EvictLive():
                self._scheduler.call(lambda: self._answer(call.id, lambda: self._evict(call)))
            case _:
                self._scheduler.call(lambda: self._answer(call.id, lambda: self._change_adapters(call)))

    def close(self) -> None:
        """Ends the thread; calls that wait are dropped."""
        self._desk.shutdown(cancel_futures=True)

    def _answer(self, call_id: int, serve: Callable[[], CallAnswer]) -> None:
        try:
            self._send(serve())
        except ErllamaError as error:
            self._send(frames.Failed(call_id, Failure.of(error)))
        except Exception as error:
            log.exception("call %d failed", call_id)
            self._send(frames.Failed(call_id, Failure.of(InternalError(reason=repr(error)))))

    def _status(self, call_id: int) -> frames.Status:
        ram = self._store.ram_stats()
        return frames.Status(
            id=call_id,
            status=self._scheduler.status,
            queue_depth=self._scheduler.queue_depth,
            running=self._scheduler.running,
            live_sequences=self._engine.live_sequences,
            ram_rows=ram.rows,
            ram_bytes=ram.bytes,
            ram_quota_bytes=ram.quota_bytes,
            fingerprint=self._shelf.fingerprint.hex(),
            adapters=self._shelf.attached,
        )

    def _tokenize(self, call: frames.Tokenize) -> frames.Tokens:
        vocabulary = self._backend.vocabulary
        tokens = vocabulary.tokenize(call.text, first=call.first)
        return frames.Tokens(call.id, pack_tokens(tokens), [vocabulary.control_text(token) for token in tokens])

    def _detokenize(self, call: frames.Detokenize) -> frames.Detokenized:
        vocabulary = self._backend.vocabulary
        tokens = unpack_tokens(call.tokens)
        last = self._backend.facts.vocabulary_size - 1
        unknown = next((token for token in tokens if token > last), None)
        if unknown is not None:
            raise TokenUnknown(token=unknown, last=last)
        text = b"".join(vocabulary.piece(token) or vocabulary.control_text(token).encode() for token in tokens).decode(
            "utf-8", "replace"
        )
        return frames.Detokenized(call.id, text)

    def _render(self, call: frames.Render) -> frames.Rendered:
        rendered = self._engine.template.render(call.messages, tools=call.tools)
        tokens, breakpoints = tokenize_rendered(rendered, self._backend)
        ends = cuts(len(tokens), breakpoints, block_tokens=self._block_tokens)
        return frames.Rendered(call.id, rendered.text, pack_tokens(tokens), ends)

    def _start_embedding(self, call: frames.Embed) -> None:
        """One text a tick, so that running answers go on in between."""
        vectors: list[bytes] = []
        left = [self._backend.vocabulary.tokenize(text, first=True) for text in call.texts]
        counts = [len(tokens) for tokens in left]
        pooling = self._backend.facts.pooling

        def embed_next() -> None:
            try:
                if not vectors:
                    self._check_embedding(call, counts)
                vectors.append(self._embed(left[len(vectors)]))
            except ErllamaError as error:
                self._send(frames.Failed(call.id, Failure.of(error)))
                return
            if len(vectors) < len(left):
                self._scheduler.call(embed_next)
            else:
                self._send(frames.Embedded(call.id, vectors, sum(counts), pooling))

        embed_next()

    def _check_embedding(self, call: frames.Embed, counts: list[int]) -> None:
        facts = self._backend.facts
        if facts.embedding_limit == 0:
            raise NotSupported(model=self._model, what="embed text")
        if not call.texts:
            raise EmbeddingEmpty(number=1)
        for number, (text, count) in enumerate(zip(call.texts, counts, strict=True), 1):
            if not text.strip() or count == 0:
                raise EmbeddingEmpty(number=number)
            if count > facts.embedding_limit:
                raise ContextExceeded(tokens=count, limit=facts.embedding_limit)

    def _embed(self, tokens: list[int]) -> bytes:
        try:
            return self._backend.embed(tokens).astype("<f4", copy=False).tobytes()
        except ComputeFailed as error:
            raise DecodeFailed(reason=str(error)) from error

    def _evict(self, call: frames.EvictLive) -> frames.LiveEvicted:
        sequences, saved = self._engine.evict(self._scheduler.running_generations())
        self._store.flush()
        return frames.LiveEvicted(call.id, sequences, saved)

    def _change_adapters(self, call: frames.Call) -> frames.Adapters:
        match call:
            case frames.LoadAdapter():
                self._shelf.attach(call.path, call.scale)
            case frames.UnloadAdapter():
                self._shelf.detach(call.adapter)
            case frames.ScaleAdapter():
                self._shelf.rescale(call.adapter, call.scale)
        return frames.Adapters(call.id, self._shelf.attached, self._shelf.fingerprint.hex())
