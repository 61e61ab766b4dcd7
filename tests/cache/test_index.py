import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from cache.samples import make_block, make_chain

from erllama_cache.block import Block, SaveReason
from erllama_cache.disk.index import INDEX_NAME, Index
from erllama_cache.disk.row import HEAT_HALF_LIFE_S, Row
from erllama_cache.disk.tier import DiskTier
from erllama_cache.errors import IndexUnusable


@pytest.fixture
def index(disk: DiskTier) -> Index:
    return disk.index


def row(block: Block, used: float = 0.0) -> Row:
    return Row.of(block, used=used, label="how it begins")


def test_a_row_comes_back_as_it_was(index: Index) -> None:
    written = row(make_block([1, 2, 3]), used=5.0)
    index.insert([written])
    assert index.get(written.key) == written


def test_inserting_again_keeps_hits_and_the_latest_use(index: Index) -> None:
    written = row(make_block([1]), used=5.0)
    index.insert([written])
    index.touch([written.key], now=9.0)
    index.insert([written])
    again = index.get(written.key)
    assert again is not None
    assert (again.hits, again.used) == (1, 9.0)


def test_heat_halves_with_time_and_does_not_grow_when_the_clock_goes_back(index: Index) -> None:
    written = row(make_block([1]))
    index.insert([written])
    for now, heat in ((0.0, 1.0), (HEAT_HALF_LIFE_S, 1.5), (0.0, 2.5)):
        index.touch([written.key], now=now)
        touched = index.get(written.key)
        assert touched is not None
        assert touched.heat == pytest.approx(heat)


def test_only_leaves_that_are_not_pinned_can_be_deleted_as_leaves(index: Index) -> None:
    parent, child = make_chain([1], [2])
    index.insert([row(parent), row(child)])
    index.pin([child.key], pinned=True)
    assert index.delete_leaves([parent.key, child.key], "evicted", now=7.0) == []
    index.pin([child.key], pinned=False)
    assert index.delete_leaves([parent.key, child.key], "evicted", now=7.0) == [child.key]
    assert index.delete_leaves([parent.key], "removed", now=8.0) == [parent.key]
    assert (index.departed(child.key), index.departed(parent.key)) == ((7.0, "evicted"), (8.0, "removed"))
    index.insert([row(parent)])
    assert index.departed(parent.key) is None


def test_a_block_without_its_parent_is_left_out_unless_it_may_be_an_orphan(index: Index) -> None:
    parent, child = make_chain([1], [2])
    assert index.insert([row(child)]) == set()
    assert index.insert([row(child)], may_be_orphans=True) == {child.key}
    assert index.insert([row(parent)]) == {parent.key}


def test_only_of_what_was_there_is_it_remembered_why_it_went(index: Index) -> None:
    parent, child = make_chain([1], [2])
    index.insert([row(parent), row(child)])
    index.delete([parent.key, child.key, b"never there"], "damaged", now=7.0)
    assert index.departed(b"never there") is None
    assert index.insert([row(child)]) == set()
    assert index.departed(child.key) == (7.0, "damaged")


def test_totals_follow_every_change(index: Index) -> None:
    blocks = [make_block([number]) for number in range(3)]
    index.insert(row(block) for block in blocks)
    index.insert([row(make_block([0], logits=b"1234"))])
    index.delete([blocks[1].key, b"not there"])
    assert index.totals().rows == 2
    assert index.totals().file_bytes == sum(index.sizes().values()) == 2 * blocks[0].file_bytes + 4


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


def flip(path: Path, data: bytes, *, last: bool) -> None:
    """Turns one bit of the first or the last copy of some data."""
    whole = bytearray(path.read_bytes())
    whole[whole.rindex(data) if last else whole.index(data)] ^= 0x40
    path.write_bytes(whole)


@pytest.mark.parametrize("column", ["key", "parent", "reason"])
@pytest.mark.parametrize("last", [False, True])
def test_a_turned_bit_that_sqlite_does_not_look_for_is_found(directory: Path, column: str, last: bool) -> None:
    first = DiskTier(directory, 1 << 20)
    first.open()
    chain = make_chain([1, 2], [3, 4], [5])
    for block in chain:
        first.publish(block)
    first.close()

    victim = chain[1]
    data = {"key": victim.key, "parent": victim.parent, "reason": SaveReason.COLD.encode()}[column]
    flip(directory / INDEX_NAME, data, last=last)
    second = DiskTier(directory, 1 << 20)
    second.open()
    for _ in range(2):  # the first may find the damage, and then all is mended
        with suppress(IndexUnusable):
            for block in (*chain, make_block([9])):
                second.publish(block)
            second.index.delete([chain[2].key])
            second.publish(chain[2])
    assert {row.key for row in second.index.rows()} == {block.key for block in (*chain, make_block([9]))}
    assert all(row.describes(block) for block in chain if (row := second.index.get(block.key)))
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


def test_closing_waits_for_another_threads_query(index: Index) -> None:
    index.insert([row(make_block([1]))])
    has_begun, is_closed, closed_in_between = threading.Event(), threading.Event(), []

    def look(values: tuple[object, ...]) -> tuple[object, ...]:
        has_begun.set()
        closed_in_between.append(is_closed.wait(0.1))
        return values

    reader = threading.Thread(target=lambda: index._query("SELECT key FROM blocks", (), look))
    reader.start()
    has_begun.wait()
    index.close()
    is_closed.set()
    reader.join()
    assert closed_in_between == [False]
