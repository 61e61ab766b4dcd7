"""What is counted as it happens: each response, and each answer as it ends."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from erllama_daemon.http.answering.progress import AnswerProgress
from erllama_daemon.http.metrics import family
from erllama_daemon.http.metrics.family import Family
from erllama_daemon.http.metrics.last_minute import LastAnswers, computed_tokens, hit_kind
from erllama_daemon.http.metrics.model_labels import NO_MODEL, ModelLabels
from erllama_daemon.http.visit import Visit
from erllama_daemon.messages import Stats

disable_created_metrics()  # type: ignore[no-untyped-call]  # twice as many series, which nobody asks for


class Measures:
    """Counters and histograms of one daemon, in a registry of its own. All calls from the event loop."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.models = ModelLabels()
        self.last_minute = LastAnswers()
        self._counters = {each: self._counter(each) for each in family.ANSWERED if each.kind == "counter"}
        self._histograms = {each: self._histogram(each) for each in family.ANSWERED if each.kind == "histogram"}

    def responded(self, visit: Visit, status: int | None) -> None:
        """A request has been answered with a status, or with none."""
        endpoint = visit.endpoint
        whose = ("none", "none", "none") if endpoint is None else (endpoint.path, endpoint.method, endpoint.dialect)
        self._count(family.HTTP_REQUESTS, 1, *whose, "none" if status is None else str(status))

    def ended(self, answer: AnswerProgress) -> None:
        """An answer has ended."""
        worker, ended = answer.worker, answer.ended
        model = NO_MODEL if worker is None else self.models.of(worker.file, worker.model)
        outcome = ended.finish_reason if isinstance(ended, Stats) else "failed"
        self._count(family.ANSWERS, 1, model, answer.client, outcome)
        self._observe(family.ANSWER, answer.age_s, model)
        if isinstance(ended, Stats):
            self.last_minute.note(ended)
            self._tokens(model, ended)
            self._times(model, ended)

    def _tokens(self, model: str, stats: Stats) -> None:
        if (kind := hit_kind(stats)) is not None:
            self._count(family.HITS, 1, model, kind, stats.cache_tier or "none")
        self._count(family.PROMPT_TOKENS, stats.cached_tokens, model, "cache")
        self._count(family.PROMPT_TOKENS, computed_tokens(stats), model, "computed")
        self._count(family.GENERATED_TOKENS, stats.completion_tokens, model)

    def _times(self, model: str, stats: Stats) -> None:
        if not stats.completion_tokens:
            return
        self._observe(family.FIRST_TOKEN, stats.ttft_ms / 1000, model)
        self._observe(family.QUEUE, stats.queue_ms / 1000, model)
        self._observe(family.PREFILL, stats.prefill_ms / 1000, model)
        if stats.cached_tokens:
            self._observe(family.RESTORE, stats.restore_ms / 1000, model)
        if stats.completion_tokens > 1:
            self._observe(family.BETWEEN_TOKENS, stats.generation_ms / 1000 / (stats.completion_tokens - 1), model)

    def _count(self, counted: Family, n: int, *labels: str) -> None:
        self._counters[counted].labels(*labels).inc(n)

    def _observe(self, observed: Family, seconds: float, *labels: str) -> None:
        self._histograms[observed].labels(*labels).observe(seconds)

    def _counter(self, each: Family) -> Counter:
        return Counter(each.name, each.told, each.labels, registry=self.registry)

    def _histogram(self, each: Family) -> Histogram:
        return Histogram(each.name, each.told, each.labels, registry=self.registry, buckets=each.buckets)
