"""Embeddings, computed between the steps of what is being generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from erllama_daemon import frames
from erllama_daemon.engine.backend import Backend, ComputeFailed
from erllama_daemon.errors import AnswerCutOff, ContextExceeded, DecodeFailed, EmbeddingEmpty, NotSupported
from erllama_daemon.frames import FromWorker
from erllama_daemon.worker.failures import failure_of
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

    def start(self, call: frames.Embed) -> None:
        """Answers a call when all of its texts are embedded, or fails it by name."""
        try:
            texts = [self._backend.vocabulary.tokenize(text, first=True) for text in call.texts]
            self._check(call, texts)
        except Exception as error:
            self._send(frames.Failed(call.id, failure_of(error)))
            return
        self._next(_Batch(call, texts))

    def _next(self, batch: _Batch) -> None:
        try:
            if self._scheduler.is_stopping:
                raise AnswerCutOff
            batch.vectors.append(self._embed(batch.texts[len(batch.vectors)]))
        except Exception as error:
            self._send(frames.Failed(batch.call.id, failure_of(error)))
            return
        if len(batch.vectors) < len(batch.texts):
            self._scheduler.call(lambda: self._next(batch))
            return
        tokens, pooling = sum(map(len, batch.texts)), self._backend.facts.pooling
        self._send(frames.Embedded(batch.call.id, batch.vectors, tokens, pooling))

    def _check(self, call: frames.Embed, texts: list[list[int]]) -> None:
        limit = self._backend.facts.embedding_limit
        if limit == 0:
            raise NotSupported(model=self._model, what="embed text")
        if not texts:
            raise EmbeddingEmpty(number=1)
        for number, (text, tokens) in enumerate(zip(call.texts, texts, strict=True), 1):
            if not text.strip() or not tokens:
                raise EmbeddingEmpty(number=number)
            if len(tokens) > limit:
                raise ContextExceeded(tokens=len(tokens), limit=limit)

    def _embed(self, tokens: list[int]) -> bytes:
        try:
            return self._backend.embed(tokens).astype("<f4", copy=False).tobytes()
        except ComputeFailed as error:
            raise DecodeFailed(reason=str(error)) from error
