"""What is looked at when somebody asks for metrics."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from erllama_cache.stats import StoreStats
from erllama_daemon import __version__
from erllama_daemon.http.metrics import family
from erllama_daemon.http.metrics.family import Family
from erllama_daemon.http.metrics.model_labels import ModelLabels
from erllama_daemon.messages import TierRoom
from erllama_daemon.models.status_row import ObservedModel

Series = dict[tuple[str, ...], float]
"""Values by those of the labels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot(Collector):
    """The daemon at one moment. `disk` is what the cache's folder says, None if it cannot be read."""

    labels: ModelLabels
    models: list[ObservedModel]
    deaths: list[tuple[Path, str, int]]
    states: list[str]
    connections: int
    uptime_s: float
    ram: TierRoom
    disk: StoreStats | None

    def collect(self) -> Iterator[Metric]:
        """Every metric of `NOW` and `CACHE` that there is a value of."""
        values = {**self._now(), **self._of_models(), **self._of_tiers()}
        if self.disk is not None:
            values |= _of_cache(self.disk)
        for each in (*family.NOW, *family.CACHE):
            if each in values:
                yield _metric(each, values[each])

    def _now(self) -> dict[Family, Series]:
        return {
            family.REQUESTS: {(state,): count for state, count in Counter(self.states).items()},
            family.CONNECTIONS: {(): self.connections},
            family.UPTIME: {(): self.uptime_s},
            family.BUILD_INFO: {(__version__, platform.python_version(), _llama_cpp_version()): 1},
            family.MODELS: {(): len(self.models)},
        }

    def _of_models(self) -> dict[Family, Series]:
        rows = {(self.labels.of(each.file, each.row.id),): each.row for each in self.models}
        return {
            family.MODEL_QUEUED: {label: row.queue_depth for label, row in rows.items()},
            family.MODEL_RUNNING: {label: row.running for label, row in rows.items()},
            family.MODEL_PARALLEL: {label: row.parallel for label, row in rows.items()},
            family.MODEL_LIVE: {label: row.live_sequences for label, row in rows.items()},
            family.MODEL_CONTEXT: {label: row.context_size for label, row in rows.items()},
            family.MODEL_MEMORY: {label: row.resident_bytes for label, row in rows.items()},
            family.DEATHS: {(self.labels.of(file, called),): count for file, called, count in self.deaths},
        }

    def _of_tiers(self) -> dict[Family, Series]:
        disk = None if self.disk is None else self.disk.tiers.disk
        on_disk = (None, None, None) if disk is None else (disk.bytes, disk.rows, disk.quota_bytes)
        in_ram = (self.ram.bytes, self.ram.blocks, self.ram.quota_bytes)
        families = (family.TIER_BYTES, family.TIER_BLOCKS, family.TIER_QUOTA)
        return {each: _by_tier(ram, of) for each, ram, of in zip(families, in_ram, on_disk, strict=True)}


def _by_tier(ram: float, disk: float | None) -> Series:
    return {("ram",): ram} if disk is None else {("ram",): ram, ("disk",): disk}


def _of_cache(stats: StoreStats) -> dict[Family, Series]:
    counters = stats.counters
    reasons = ("cold", "continued", "finish", "evict", "shutdown")
    found: dict[Family, Series] = {
        family.FOREIGN: {(): stats.foreign_bytes},
        family.WRITTEN_TODAY: {(): stats.bytes_written_today},
        family.LOOKUPS: {
            ("exact",): counters.hits_exact,
            ("resume",): counters.hits_resume,
            ("longest_prefix",): counters.hits_longest_prefix,
            ("miss",): counters.misses,
        },
        family.SAVES: {(reason,): getattr(counters, f"saves_{reason}") for reason in reasons},
        family.DROPPED: {(): counters.saves_dropped},
        family.EVICTED: {(): counters.evicted},
        family.QUARANTINED: {(): counters.quarantined},
        family.WRITTEN: {(): counters.bytes_written},
        family.READ: {(): counters.bytes_read},
        family.CACHE_TOKENS: {("reused",): counters.tokens_reused, ("prefilled",): counters.tokens_prefilled},
        family.SAVED: {(): counters.saved_total_ns / 1e9},
    }
    if stats.write_bytes_per_day is not None:
        found[family.WRITE_QUOTA] = {(): stats.write_bytes_per_day}
    return found


def _metric(each: Family, series: Series) -> Metric:
    made = (CounterMetricFamily if each.kind == "counter" else GaugeMetricFamily)(
        each.name, each.told, labels=each.labels
    )
    for labels, value in series.items():
        made.add_metric(labels, value)
    return made


@cache
def _llama_cpp_version() -> str:
    try:
        return version("llama-cpp-python")
    except PackageNotFoundError:
        return "none"
