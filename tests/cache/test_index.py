import sqlite3
from pathlib import Path

import pytest
from cache.samples import make_block, make_chain

from erllama_cache.block import Block
from erllama_cache.disk import INDEX_NAME, DiskTier
from erllama_cache.errors import IndexUnusable
from erllama_cache.index import Index, Row


@pytest.fixture
def index(disk: DiskTier) -> Index:
    return disk.index


def row(block: Block, used: float = 0.0) -> Row:
    return Row.of(block, used=used)


def test_a_row_comes_back_as_it_was(index: Index) -> None:
    written = row(make_block([1, 2, 3]), used=5.0)
    index.insert(written)
    assert index.get(written.key) == written


def test_inserting_again_keeps_hits_and_the_latest_use(index: Index) -> None:
    written = row(make_block([1]), used=5.0)
    index.insert(written)
    index.touch([written.key], now=9.0)
    index.insert(written)
    again = index.get(written.key)
    assert again is not None
    assert (again.hits, again.used) == (1, 9.0)


def test_leaves_come_oldest_first_and_parents_not_at_all(index: Index) -> None:
    parent, child = make_chain([1], [2])
    alone = make_block([3])
    for block, used in ((parent, 1.0), (child, 3.0), (alone, 2.0)):
        index.insert(row(block, used))
    assert [leaf.key for leaf in index.oldest_leaves(9)] == [alone.key, child.key]
    assert not index.delete_leaf(parent.key)
    assert index.delete_leaf(child.key)
    assert index.delete_leaf(parent.key)


def test_counters_add_up(index: Index) -> None:
    index.add_counters({"misses": 1})
    index.add_counters({"misses": 2, "hits_exact": 4})
    assert index.counters() == {"misses": 3, "hits_exact": 4}


def test_a_closed_index_says_so(index: Index) -> None:
    index.close()
    with pytest.raises(IndexUnusable):
        index.totals()


@pytest.mark.parametrize("damage", ["deleted", "emptied", "noise", "torn", "foreign tables", "other version"])
def test_a_lost_or_damaged_index_is_rebuilt_from_the_files(directory: Path, damage: str) -> None:
    first = DiskTier(directory, 1 << 20)
    first.open()
    chain = make_chain([1, 2], [3, 4], [5])
    for block in chain:
        first.publish(block)
    first.close()

    ruin(directory / INDEX_NAME, damage)
    second = DiskTier(directory, 1 << 20)
    second.open()
    assert second.totals().rows == 3
    assert [second.load(block.key) for block in chain] == chain
    second.close()


def ruin(path: Path, damage: str) -> None:
    if damage == "deleted":
        path.unlink()
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "noise":
        path.write_bytes(b"noise" * 5000)
    elif damage == "torn":
        data = path.read_bytes()
        path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    else:
        path.unlink()
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE blocks (title TEXT)")
            if damage == "other version":
                db.execute("PRAGMA user_version = 99")
        db.close()
