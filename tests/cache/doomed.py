"""Processes that are killed while they write: what they do, and a parent that starts them fast.

Run as `python -m cache.doomed at-every-call DIRECTORY` or `under-load DIRECTORY SEED COUNT`. For each process that
ended, the parent prints a line of what it had acknowledged, and goes on when it reads one.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from cache.bomb import EXPLODED, Bomb
from cache.samples import LOGITS, make_block, make_chain

from erllama_cache.block import Block
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.tier import DiskTier
from erllama_cache.store import Store
from erllama_cache.writer import SaveOutcome

QUOTA = 9 * make_block([1]).file_bytes
"""Of both: the blocks that were there before, and one more."""

BEFORE = [*make_chain([1], [2], [3]), *(make_block([token]) for token in (4, 5, 6)), *make_chain([7], [8])]
PINNED = BEFORE[3]
CHAIN = make_chain([11], [12], [13], [14])
FULL = make_block([14], CHAIN[2], logits=LOGITS)
UNPINNED = BEFORE[4]

FAILED = 2

SAVERS = 3
SAVES = 50
LOAD_QUOTA = 40 * make_block([1]).file_bytes
MOST_ACKNOWLEDGED = 40


def prepare(directory: Path) -> None:
    """A full cache with two pins."""
    disk = DiskTier(directory, QUOTA)
    disk.open()
    for block in BEFORE:
        disk.publish(block)
    for block in (PINNED, UNPINNED):
        Pins(directory).add([block.key])
        disk.index.pin([block.key], pinned=True)
    disk.close()


def publish_evict_and_pin(directory: Path, fatal_call: int, acknowledge: Callable[[str], object]) -> None:
    """Whatever a writer does, once, or up to a fatal call."""
    Bomb(fatal_call).plant()
    disk = DiskTier(directory, QUOTA)
    disk.open()
    for block in (*CHAIN, FULL):
        disk.publish(block)
        acknowledge(f"{block.key.hex()}:{block.has_logits:d}")
    Pins(directory).remove([UNPINNED.key])
    disk.index.pin([UNPINNED.key], pinned=False)
    Pins(directory).add([FULL.key])
    disk.index.pin([FULL.key], pinned=True)
    acknowledge("pinned")
    disk.index.touch([BEFORE[0].key], 2000.0)
    disk.index.add_counters({"misses": 1})
    disk.close()


def at_every_call(directory: Path) -> Iterator[str]:
    """The same work again and again, killed one call later each time, until it ends unharmed."""
    prepare(directory / "prepared")
    for call in range(1, 1000):
        shutil.copytree(directory / "prepared", directory / "cache")

        child, reports = forked(partial(publish_evict_and_pin, directory / "cache", call))
        with os.fdopen(reports) as lines:
            acknowledged = lines.read().split()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, EXPLODED)
        yield " ".join(acknowledged)
        shutil.rmtree(directory / "cache")
        if status == 0:
            return


def saved_by(life: int, saver: int) -> list[Block]:
    """What one thread of one process saves: chains of five blocks."""
    numbers = range(SAVES)
    chains = [make_chain(*([life, saver, start + n] for n in range(5))) for start in numbers[::5]]
    return [block for chain in chains for block in chain]


def save_under_load(directory: Path, life: int, acknowledge: Callable[[str], object]) -> None:
    """Several threads save chains through a small queue into a small cache."""
    store = Store(directory, ram_bytes=0, disk_bytes=LOAD_QUOTA, queue_bytes=5000)

    def report(key: bytes, future: Future[SaveOutcome]) -> None:
        if future.result() is SaveOutcome.SAVED:
            acknowledge(f"{key.hex()}:0")

    def save(saver: int) -> None:
        for block in saved_by(life, saver):
            store.touch([block.parent])
            store.save(block, wait=True).add_done_callback(partial(report, block.key))

    with store:
        threads = [threading.Thread(target=save, args=(saver,)) for saver in range(SAVERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def under_load(directory: Path, seed: int, count: int) -> Iterator[str]:
    """A process after the other in one cache, each killed once it has acknowledged a random number of blocks."""
    moments = random.Random(seed)
    for life in range(count):
        child, reports = forked(partial(save_under_load, directory / "cache", life))
        moment = moments.randrange(MOST_ACKNOWLEDGED)
        with os.fdopen(reports) as lines:
            acknowledged = [lines.readline().strip() for _ in range(moment)]
            os.kill(child, signal.SIGKILL)
            acknowledged += lines.read().split()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        yield " ".join(acknowledged)


def forked(work: Callable[[Callable[[str], object]], None]) -> tuple[int, int]:
    """A child that does the work, and the pipe on which it acknowledges. It exits with 0 if nothing went wrong."""
    reports, reporting = os.pipe()
    child = os.fork()
    if child:
        os.close(reporting)
        return child, reports
    try:
        work(lambda line: os.write(reporting, f"{line}\n".encode()))
    except BaseException:
        traceback.print_exc()
        os._exit(FAILED)
    os._exit(0)


def main(plan: str, directory: str, *numbers: str) -> None:
    folder = Path(directory)
    lives = at_every_call(folder) if plan == "at-every-call" else under_load(folder, *map(int, numbers))
    for line in lives:
        print(line, flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
