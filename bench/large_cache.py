"""A cache of very many blocks beside an empty one: what its size costs at start, lookup, eviction and stats."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cache_probe import ProbeFigures, ProbeJob, probe
from figures import Goal, Measurement
from own_daemon import COMMAND, MODEL, move_into, stop_daemon
from synthetic_cache import DOCUMENT_ENDS, SyntheticCache, make_cache

from erllama_cli.launcher import running_daemon
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import ModelRequest

PAYLOAD_BYTES = 1 << 10
LARGE_PAYLOAD_BYTES = 8 << 10
EVICTED_BLOCKS = 1000


@dataclass(frozen=True, slots=True)
class DaemonSeconds:
    """From the command until the daemon answers, and until a worker of it has opened the cache and loaded a model."""

    answers: float
    loaded: float


@dataclass(slots=True)
class Rounds:
    """What each round found, in an empty cache, in one of small payloads and in one of larger ones."""

    empty: list[ProbeFigures] = field(default_factory=list)
    small: list[ProbeFigures] = field(default_factory=list)
    large: list[ProbeFigures] = field(default_factory=list)
    empty_start: list[DaemonSeconds] = field(default_factory=list)
    small_start: list[DaemonSeconds] = field(default_factory=list)
    empty_stats: list[float] = field(default_factory=list)
    small_stats: list[float] = field(default_factory=list)


def measure_large_cache(blocks: int, rounds: int) -> list[Measurement]:
    """Makes the caches, measures empty and full ones in turn, and removes them."""
    with tempfile.TemporaryDirectory(prefix="erl-") as name:
        home, found = Path(name), Rounds()
        empty, small, large = (home / kind for kind in ("e", "s", "l"))
        for folder in (empty, small, large):
            folder.mkdir()
        caches = {
            folder: make_cache(_cache_of(folder), blocks, payload_bytes)
            for folder, payload_bytes in ((small, PAYLOAD_BYTES), (large, LARGE_PAYLOAD_BYTES))
        }
        _stats_seconds(empty)  # warms up
        for number in range(rounds):
            # Evictions last: each leaves the cache a little smaller.
            steps: list[Callable[[], None]] = [
                lambda: found.empty.append(probe(ProbeJob(directory=str(_cache_of(empty))))),
                lambda: found.empty_start.append(_daemon_seconds(empty)),
                lambda: found.small_start.append(_daemon_seconds(small)),
                lambda: found.empty_stats.append(_stats_seconds(empty)),
                lambda: found.small_stats.append(_stats_seconds(small)),
            ]
            for step in steps if number % 2 == 0 else reversed(steps):
                step()
            found.small.append(probe(_job(caches[small])))
            found.large.append(probe(_job(caches[large])))
            print(
                f"cache of {blocks:,} blocks: round {number + 1} of {rounds}, load {os.getloadavg()[0]:.1f}", flush=True
            )
        return _measurements(found, blocks)


def _cache_of(home: Path) -> Path:
    """Where the cache is of a user who lives there."""
    move_into(home)
    return user_directories().cache


def _job(cache: SyntheticCache) -> ProbeJob:
    return ProbeJob(
        directory=str(cache.directory),
        root=cache.root,
        document=cache.document,
        ends=DOCUMENT_ENDS,
        last_key=cache.last_key,
        evict_bytes=min(EVICTED_BLOCKS, cache.blocks // 4) * cache.file_bytes // cache.blocks,
    )


def _daemon_seconds(home: Path) -> DaemonSeconds:
    move_into(home)
    started = time.perf_counter()
    client = running_daemon(user_directories())
    try:
        answers = time.perf_counter() - started
        for _event in client.load(ModelRequest(model=MODEL)):
            pass
        return DaemonSeconds(answers, time.perf_counter() - started)
    finally:
        stop_daemon()


def _stats_seconds(home: Path) -> float:
    move_into(home)
    started = time.perf_counter()
    subprocess.run([*COMMAND, "cache", "stats"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def _measurements(found: Rounds, blocks: int) -> list[Measurement]:
    size = f"{blocks:,} blocks"
    starts = list(zip(found.empty_start, found.small_start, strict=True))
    opens = list(zip(found.empty, found.small, strict=True))
    at_most_one, lookup = Goal("<", 1.0), f"lookup of {len(DOCUMENT_ENDS)} blocks among {size}"

    def each(samples: Callable[[ProbeFigures], list[float]]) -> list[float]:
        return [statistics.median(samples(figures)) for figures in found.small]

    return [
        Measurement(what=f"daemon start, {size} more than empty", unit="s", goal=at_most_one,
                    samples=[full.answers - empty.answers for empty, full in starts]),
        Measurement(what=f"daemon start and model loaded, {size} more than empty", unit="s", goal=at_most_one,
                    samples=[full.loaded - empty.loaded for empty, full in starts]),
        Measurement(what=f"store open, {size} more than empty", unit="s", goal=at_most_one,
                    samples=[(full.open_ms - empty.open_ms) / 1000 for empty, full in opens]),
        Measurement(what=f"{lookup}: chain", unit="ms", goal=Goal("<", 5.0), samples=each(lambda f: f.chain_ms)),
        Measurement(what=f"{lookup}: longest", unit="ms", goal=Goal("<", 5.0), samples=each(lambda f: f.longest_ms)),
        Measurement(what=f"{lookup}: resume", unit="ms", goal=Goal("<", 5.0), samples=each(lambda f: f.resume_ms)),
        Measurement(what=f"eviction of {found.small[0].evicted:,} among {size}", unit="s",
                    goal=at_most_one, samples=[figures.evict_ms / 1000 for figures in found.small]),
        Measurement(what=f"cache stats, whole process, {size}", unit="s", goal=Goal("<", 0.3),
                    samples=found.small_stats),
        Measurement(what="cache stats, whole process, empty", unit="s", samples=found.empty_stats),
        Measurement(what=f"peak memory of open, lookup, evict, {size}", unit="MiB",
                    samples=[figures.peak_mib for figures in found.small]),
        Measurement(what="peak memory, payloads of 8 KiB over payloads of 1 KiB", unit="×", goal=Goal("<=", 1.05),
                    samples=[large.peak_mib / small.peak_mib
                             for small, large in zip(found.small, found.large, strict=True)]),
    ]  # fmt: skip
