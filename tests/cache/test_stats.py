from pathlib import Path

import msgspec
from cache.samples import make_block

from erllama_cache.counters import Counters
from erllama_cache.disk.index import INDEX_NAME
from erllama_cache.quotas import default_disk_bytes, default_ram_bytes
from erllama_cache.stats import read_stats
from erllama_cache.store import Store

QUOTA = 1 << 20
GIB = 1 << 30


def test_asking_about_a_cache_that_does_not_exist_creates_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "none" / "cache"
    stats = read_stats(directory, QUOTA)
    assert (stats.tiers.disk.rows, stats.tiers.disk.bytes, stats.tiers.disk.quota_bytes) == (0, 0, QUOTA)
    assert stats.counters == Counters()
    assert default_disk_bytes(directory) > 0
    assert not directory.parent.exists()


def test_stats_are_read_beside_a_running_store(store: Store, directory: Path) -> None:
    store.save(make_block([1]))
    assert store.flush(30)
    beside = read_stats(directory, QUOTA)
    assert beside.tiers.disk == store.stats().tiers.disk
    assert beside.counters == store.stats().counters


def test_without_a_usable_index_the_files_are_counted(directory: Path) -> None:
    block = make_block([1])
    with Store(directory, ram_bytes=QUOTA, disk_bytes=QUOTA) as store:
        store.save(block)
    (directory / INDEX_NAME).write_bytes(b"noise" * 1000)
    disk = read_stats(directory, QUOTA).tiers.disk
    assert (disk.rows, disk.bytes) == (1, block.file_bytes)


def test_stats_have_the_documented_json_shape(store: Store) -> None:
    shape = msgspec.json.decode(msgspec.json.encode(store.stats()))
    assert list(shape) == ["path", "tiers", "counters", "foreign_bytes", "bytes_written_today", "write_bytes_per_day"]
    assert list(shape["tiers"]) == ["ram", "disk"]
    assert list(shape["tiers"]["disk"]) == ["rows", "bytes", "quota_bytes"]
    assert list(shape["counters"]) == list(Counters.__struct_fields__)


def test_default_budgets_are_small(directory: Path) -> None:
    assert 0 < default_ram_bytes() <= GIB
    assert 0 < default_disk_bytes(directory) <= 20 * GIB
