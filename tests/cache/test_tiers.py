"""What both tiers promise alike."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from cache.samples import LOGITS, make_block, make_chain

from erllama_cache.block import Block
from erllama_cache.disk.tier import DiskTier
from erllama_cache.errors import CacheFull, ParentGone
from erllama_cache.keys import BlockKind
from erllama_cache.ram import RamTier
from erllama_cache.ref import Shape


class Tier(Protocol):
    def put(self, block: Block) -> bool: ...

    def get(self, key: bytes) -> Block | None: ...

    def shapes(self, parent: bytes) -> set[Shape]: ...

    @property
    def rows(self) -> int: ...

    @property
    def used_bytes(self) -> int: ...


class DiskAsTier:
    def __init__(self, disk: DiskTier) -> None:
        self._disk = disk
        self.get = disk.load
        self.shapes = disk.shapes

    def put(self, block: Block) -> bool:
        try:
            self._disk.publish(block)
        except (CacheFull, ParentGone):
            return False
        return True

    @property
    def rows(self) -> int:
        return self._disk.totals().rows

    @property
    def used_bytes(self) -> int:
        return self._disk.totals().file_bytes


QUOTA = 5000  # four blocks of `samples`, on disk or in memory


@pytest.fixture(params=["ram", "disk"])
def tier(request: pytest.FixtureRequest, directory: Path) -> Iterator[Tier]:
    if request.param == "ram":
        yield RamTier(QUOTA)
        return
    disk = DiskTier(directory, QUOTA)
    disk.open()
    yield DiskAsTier(disk)
    disk.close()


def test_what_was_put_comes_back(tier: Tier) -> None:
    block = make_block([1, 2, 3, 4], logits=LOGITS)
    assert tier.put(block)
    assert tier.get(block.key) == block
    assert tier.rows == 1


def test_what_was_not_put_is_not_there(tier: Tier) -> None:
    assert tier.get(make_block([9]).key) is None


def test_the_same_block_twice_is_one_row(tier: Tier) -> None:
    assert tier.put(make_block([1, 2]))
    used = tier.used_bytes
    assert tier.put(make_block([1, 2]))
    assert (tier.rows, tier.used_bytes) == (1, used)


def test_logits_are_added_and_never_lost(tier: Tier) -> None:
    bare, full = make_block([1, 2]), make_block([1, 2], logits=LOGITS)
    for block in (bare, full, bare):
        assert tier.put(block)
    assert tier.get(bare.key) == full
    assert tier.rows == 1


def test_children_are_known_by_kind_and_length(tier: Tier) -> None:
    first = make_block([1, 2, 3])
    for block in (first, make_block([4, 5], first), make_block([4], first, kind=BlockKind.GENERATED)):
        assert tier.put(block)
    assert tier.shapes(first.key) == {Shape(BlockKind.PREFILL, 2), Shape(BlockKind.GENERATED, 1)}
    assert tier.shapes(first.root) == {Shape(BlockKind.PREFILL, 3)}


def test_the_quota_holds(tier: Tier) -> None:
    for number in range(10):
        tier.put(make_block([number]))
        assert tier.used_bytes <= QUOTA
    assert tier.rows == 4
    assert tier.get(make_block([9]).key)


def test_a_block_larger_than_the_quota_is_not_held_and_costs_nobody_his_place(tier: Tier) -> None:
    assert tier.put(make_block([1]))
    assert not tier.put(make_block([2], payload_bytes=QUOTA + 1))
    assert tier.rows == 1


def test_leaves_go_first_and_parents_stay(tier: Tier) -> None:
    chain = make_chain([1], [2], [3])
    for block in (*chain, make_block([7]), make_block([8])):
        tier.put(block)
    assert [tier.get(block.key) is not None for block in chain] == [True, True, False]


def test_a_chain_that_fills_the_quota_keeps_its_beginning(tier: Tier) -> None:
    chain = make_chain([1], [2], [3], [4], [5], [6])
    assert [tier.put(block) for block in chain] == [True, True, True, True, False, False]
    assert [tier.get(block.key) is not None for block in chain] == [True, True, True, True, False, False]
