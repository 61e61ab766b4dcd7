"""Embeddings, computed between the steps of what is being generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from erllama_cache.keys import unpack_tokens
from erllama_daemon import frames
from erllama_daemon.engine.backend import Backend, ComputeFailed
from erllama_daemon.errors import (
    AnswerCutOff,
    ContextExceeded,
    DecodeFailed,
    EmbeddingEmpty,
    NotSupported,
    TokenUnknown,
)
from erllama_daemon.failures import failure_of
from erllama_daemon.frames import FromWorker
from erllama_daemon.worker.scheduler import Scheduler


@dataclass
class _Batch:
    """The texts of one call as tokens, and the vectors of those that are done."""

    call: frames.Embed
    texts: list[list[int]]
    vectors: list[bytes] = field(default_factory=list)


class Embedder:
    """Embeds one text a tick, so that running answers go on in between. `start` is for the engine's thread."""

    def __init__(self, backend: Backend, model: str, scheduler: Scheduler, send: Callable[[FromWorker], None]) -> None:
        self._backend = backend
        self._model = model
        self._scheduler = scheduler
        self._send = send
        self._open: set[int] = set()
        self._cancelled: set[int] = set()

    def expect(self, call_id: int) -> None:
        """Says that a call is about to be started; from then on it can be cancelled. Any thread."""
        self._open.add(call_id)

    def cancel(self, call_id: int) -> None:
        """Ends a call before its next text. Any other one, or none at all, is fine. Any thread."""
        if call_id in self._open:
            self._cancelled.add(call_id)

    def start(self, call: frames.Embed) -> None:
        """Answers a call when all of its texts are embedded, or fails it by name."""
        try:
            texts = [self._tokens(text) for text in call.texts] + [*map(unpack_tokens, call.prompts)]
            self._check(texts)
        except Exception as error:
            self._fail(call, error)
            return
        self._next(_Batch(call, texts))

    def _next(self, batch: _Batch) -> None:
        try:
            if self._scheduler.is_stopping or batch.call.id in self._cancelled:
                raise AnswerCutOff
            batch.vectors.append(self._embed(batch.texts[len(batch.vectors)]))
        except Exception as error:
            self._fail(batch.call, error)
            return
        if len(batch.vectors) < len(batch.texts):
            self._scheduler.call(lambda: self._next(batch))
            return
        self._close(batch.call)
        tokens, pooling = sum(map(len, batch.texts)), self._backend.facts.pooling
        self._send(frames.Embedded(batch.call.id, batch.vectors, tokens, pooling))

    def _fail(self, call: frames.Embed, error: Exception) -> None:
        self._close(call)
        self._send(frames.Failed(call.id, failure_of(error)))

    def _close(self, call: frames.Embed) -> None:
        self._open.discard(call.id)
        self._cancelled.discard(call.id)

    def _check(self, texts: list[list[int]]) -> None:
        limit = self._backend.facts.embedding_limit
        if limit == 0:
            raise NotSupported(model=self._model, what="embed text")
        if not texts:
            raise EmbeddingEmpty(number=1)
        last = self._backend.facts.vocabulary_size - 1
        for number, tokens in enumerate(texts, 1):
            if not tokens:
                raise EmbeddingEmpty(number=number)
            if len(tokens) > limit:
                raise ContextExceeded(tokens=len(tokens), limit=limit)
            if max(tokens) > last:
                raise TokenUnknown(token=max(tokens), last=last)

    def _tokens(self, text: str) -> list[int]:
        """Those of a text; none of one that is blank, whatever a model adds to every text."""
        return self._backend.vocabulary.tokenize(text, first=True) if text.strip() else []

    def _embed(self, tokens: list[int]) -> bytes:
        try:
            return self._backend.embed(tokens).astype("<f4", copy=False).tobytes()
        except ComputeFailed as error:
            raise DecodeFailed(reason=str(error)) from error
