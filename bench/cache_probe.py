"""One cache directory, opened as a worker opens it, looked into and relieved of blocks.

A process of its own, so that its peak memory is that of the cache alone: it reads a `ProbeJob` from stdin, prints
`ProbeFigures`, and ends. `probe` starts it and waits for it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

LOOKUPS = 15


class ProbeJob(msgspec.Struct, frozen=True, kw_only=True):
    """A directory; the chain to look up, if there is one; and how many bytes to let go at the end."""

    directory: str
    root: bytes = b""
    document: list[int] = []
    ends: list[int] = []
    last_key: bytes = b""
    evict_bytes: int = 0


class ProbeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Times in milliseconds, the peak memory in MiB. `evicted` counts blocks."""

    open_ms: float
    chain_ms: list[float]
    longest_ms: list[float]
    resume_ms: list[float]
    evict_ms: float
    evicted: int
    peak_mib: float


def probe(job: ProbeJob) -> ProbeFigures:
    """The figures as a process of its own measures them."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__))], input=msgspec.json.encode(job), stdout=subprocess.PIPE, check=True
    )
    return msgspec.json.decode(done.stdout, type=ProbeFigures)


def measure(job: ProbeJob) -> ProbeFigures:
    """Opens, looks up, evicts."""
    from erllama_cache.quotas import default_disk_bytes
    from erllama_cache.store import Store

    directory, root, document = Path(job.directory), job.root, job.document
    started = time.perf_counter()
    default_disk_bytes(directory)  # as a worker does that was given no quota
    # A quota without end, or opening would evict; and no memory, or the second lookup would not ask the disk.
    store = Store(directory, ram_bytes=0, disk_bytes=1 << 50)
    store.open()
    open_ms = _ms_since(started)
    with_chain = range(LOOKUPS if document else 0)
    chain = [_timed(lambda: store.chain(root, document, job.ends), len(job.ends)) for _ in with_chain]
    longest = [_timed(lambda: store.longest(root, document), len(job.ends)) for _ in with_chain]
    resume = [_timed(lambda: store.resume(root, job.last_key, document), len(job.ends)) for _ in with_chain]
    store.close()
    started = time.perf_counter()
    evicted = _evict(directory, job.evict_bytes) if job.evict_bytes else 0
    return ProbeFigures(
        open_ms=open_ms,
        chain_ms=chain,
        longest_ms=longest,
        resume_ms=resume,
        evict_ms=_ms_since(started),
        evicted=evicted,
        peak_mib=_peak_mib(),
    )


def _evict(directory: Path, evict_bytes: int) -> int:
    """Looks at all blocks and lets go of those that are worth least."""
    from erllama_cache.disk.eviction import choose
    from erllama_cache.disk.files import BlockFiles
    from erllama_cache.disk.index import INDEX_NAME, Index
    from erllama_cache.disk.room import Room

    index = Index(directory / INDEX_NAME)
    try:
        chosen = choose(index.candidates(), evict_bytes, (), time.time())
        room = Room(BlockFiles(directory), index, quota_bytes=1 << 50)
        return len(room.let_go((block.key for block in chosen), "evicted"))
    finally:
        index.close()


def _timed(lookup: Callable[[], tuple[object, ...] | None], blocks: int) -> float:
    started = time.perf_counter()
    found = lookup()
    taken = _ms_since(started)
    assert found is not None
    assert len(found) == blocks
    return taken


def _ms_since(started: float) -> float:
    return 1000 * (time.perf_counter() - started)


def _peak_mib() -> float:
    """The most memory that this process ever had; elsewhere than on Linux that may be its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def main() -> None:
    """Does the job on stdin."""
    sys.stdout.buffer.write(msgspec.json.encode(measure(msgspec.json.decode(sys.stdin.buffer.read(), type=ProbeJob))))


if __name__ == "__main__":
    main()
