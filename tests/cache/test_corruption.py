"""Two thousand damaged files: each is noticed before anybody gets to see what is in it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from cache.damage import damaged
from cache.inspection import by_key, check
from cache.samples import LOGITS, ROOT, make_block, make_chain

from erllama_cache.block import Block
from erllama_cache.counters import Tally
from erllama_cache.disk.index import INDEX_NAME
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.tier import DiskTier
from erllama_cache.errors import IndexUnusable
from erllama_cache.keys import unpack_tokens
from erllama_cache.store import Store

QUOTA = 1 << 20
BLOCK_COPIES = 1404
INDEX_COPIES = 600
CHUNKS = 6

CHAIN = make_chain([1, 2], [3, 4], [5], [6, 7])
FORK = make_block([8, 9], CHAIN[1], logits=LOGITS)
BLOCKS = (*CHAIN, FORK)
TOKENS = unpack_tokens(b"".join(block.tokens for block in CHAIN))
PINNED = CHAIN[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache directory to copy."""
    directory = tmp_path_factory.mktemp("prepared") / "cache"
    disk = DiskTier(directory, QUOTA)
    disk.open()
    for block in BLOCKS:
        disk.publish(block)
    Pins(directory).add([PINNED.key])
    disk.index.pin([PINNED.key], pinned=True)
    disk.index.touch([FORK.key], 2000.0)
    disk.close()
    return directory


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_damaged_block_file_is_a_miss_and_counted_and_all_others_are_served(
    prepared: Path, directory: Path, chunk: int
) -> None:
    shutil.copytree(prepared, directory)
    rng = random.Random(chunk)
    with Store(directory, ram_bytes=0, disk_bytes=QUOTA) as store:
        index, files = store._disk.index, store._disk.files
        rows = {row.key: row for row in index.rows()}
        whole = {block.key: files.path(block.key).read_bytes() for block in BLOCKS}
        for copy in range(BLOCK_COPIES // CHUNKS):
            victim, other = rng.sample(BLOCKS, 2)
            is_swapped = rng.random() < 0.1
            bad = whole[other.key] if is_swapped else damaged(whole[victim.key], rng)
            files.path(victim.key).write_bytes(bad)

            assert store.load(victim.key) is None
            assert store.load(other.key) == other
            assert store.find(victim.key) is None
            assert not files.path(victim.key).exists()
            assert store.stats().counters.quarantined == copy + 1

            files.path(victim.key).write_bytes(whole[victim.key])
            index.insert([rows[victim.key]])
        assert [store.load(block.key) for block in BLOCKS] == list(BLOCKS)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_damaged_index_never_leads_to_a_wrong_block_and_the_cache_goes_on(
    prepared: Path, directory: Path, chunk: int
) -> None:
    shutil.copytree(prepared, directory)
    rng = random.Random(chunk)
    whole = (directory / INDEX_NAME).read_bytes()
    for _copy in range(INDEX_COPIES // CHUNKS):
        for suffix in ("-wal", "-shm"):
            (directory / (INDEX_NAME + suffix)).unlink(missing_ok=True)
        (directory / INDEX_NAME).write_bytes(damaged(whole, rng))
        shutil.rmtree(directory / "quarantine", ignore_errors=True)
        tally = Tally()
        disk = DiskTier(directory, QUOTA, tally)
        disk.open()
        check_lookups(disk)
        publish_again(disk)
        check(disk, by_key(BLOCKS))
        assert [disk.load(block.key) for block in BLOCKS] == list(BLOCKS)
        set_aside = list((directory / "quarantine").glob(f"*-{INDEX_NAME}"))
        assert tally.peek().get("quarantined", 0) == len(set_aside)
        disk.close()


def check_lookups(disk: DiskTier) -> None:
    """What is found is right, however little it is."""
    store = Store(disk.files.directory, ram_bytes=0, disk_bytes=QUOTA)
    store._disk = disk
    ends = [block.end for block in CHAIN]
    for found in (store.longest(ROOT, TOKENS), store.chain(ROOT, TOKENS, ends)):
        assert [store.load(ref) for ref in found] == CHAIN[: len(found)]
        assert [(ref.start, ref.end) for ref in found] == [(block.start, block.end) for block in CHAIN[: len(found)]]
    resumed = store.resume(ROOT, CHAIN[-1].key, TOKENS)
    assert resumed is None or [store.load(ref) for ref in resumed] == CHAIN


def publish_again(disk: DiskTier) -> None:
    """As requests would that missed them; the first may find out that the index is damaged."""
    for attempt in range(3):
        try:
            for block in BLOCKS:
                disk.publish(block)
        except IndexUnusable:
            assert attempt < 2
        else:
            return


@pytest.mark.parametrize("loss", ["deleted", "emptied", "noise"])
def test_a_lost_index_is_rebuilt_with_pins_and_labels(prepared: Path, directory: Path, loss: str) -> None:
    shutil.copytree(prepared, directory)
    path = directory / INDEX_NAME
    labelled = Block(
        root=ROOT,
        parent=FORK.key,
        kind=FORK.kind,
        start=FORK.end,
        tokens=b"1234",
        reason=FORK.reason,
        payload=b"",
        label="What is a llama? " * 20,
        cost_s=1.5,
    )
    disk = DiskTier(directory, QUOTA)
    disk.open()
    disk.publish(labelled)
    before = disk.index.get(labelled.key)
    disk.close()
    path.unlink() if loss == "deleted" else path.write_bytes(b"" if loss == "emptied" else b"noise" * 5000)
    disk = DiskTier(directory, QUOTA)
    disk.open()
    assert disk.index.pinned() == {PINNED.key}
    after = disk.index.get(labelled.key)
    assert before is not None
    assert after is not None
    assert (after.label, after.cost_s, after.created) == (before.label, before.cost_s, before.created)
    assert len(after.label) > 100
    check(disk, {**by_key(BLOCKS), labelled.key: [labelled]})
    disk.close()
