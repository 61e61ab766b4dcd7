from pathlib import Path

import pytest
from cache.samples import OTHER_ROOT, make_block, make_chain

from erllama_cache.block import Block
from erllama_cache.disk.index import INDEX_NAME
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.tier import DiskTier
from erllama_cache.errors import KeyAmbiguous, KeyUnknown
from erllama_cache.tending.survey import Survey, survey


def published(disk: DiskTier, *blocks: Block) -> Survey:
    for block in blocks:
        disk.publish(block)
    return survey(disk.files.directory)


def test_a_directory_without_a_cache_has_no_blocks_and_gets_none(tmp_path: Path) -> None:
    assert survey(tmp_path / "none").rows == {}
    assert not (tmp_path / "none").exists()


def test_blocks_hang_together_as_they_were_saved(disk: DiskTier) -> None:
    system, chat, other = make_chain([1], [2], [3]), make_block([4]), make_block([5], root=OTHER_ROOT)
    branch = make_block([6], system[0])
    found = published(disk, *system, chat, other, branch)
    assert {row.key for row in found.leaves} == {system[2].key, chat.key, other.key, branch.key}
    assert [row.key for row in found.chain(system[2].key)] == [block.key for block in system]
    assert {row.key for row in found.descendants(system[0].key)} == {system[1].key, system[2].key, branch.key}
    assert {row.key for row in found.children(system[0].root)} == {system[0].key, chat.key}
    assert found.roots == {system[0].root, OTHER_ROOT}


def test_a_key_may_be_named_by_its_beginning(disk: DiskTier) -> None:
    blocks = [make_block([number]) for number in range(20)]
    found = published(disk, *blocks)
    assert found.resolve(blocks[3].key.hex()[:16].upper()) == blocks[3].key
    with pytest.raises(KeyUnknown):
        found.resolve("z")
    with pytest.raises(KeyUnknown):
        found.resolve("")
    with pytest.raises(KeyAmbiguous):
        found.resolve(next(d for d in "0123456789abcdef" if sum(b.key.hex().startswith(d) for b in blocks) > 1))


def test_only_what_nothing_else_needs_goes_with_a_chat(disk: DiskTier) -> None:
    shared = make_block([1])
    mine, mine_too = make_block([2], shared), make_block([3], shared)
    later = make_block([4], mine)
    theirs = make_block([5], mine_too)
    found = published(disk, shared, mine, mine_too, later, theirs)
    assert [row.key for row in found.only_of([later.key, mine_too.key], [])] == [later.key, mine.key]
    assert [row.key for row in found.only_of([later.key], [mine.key])] == [later.key]


def test_what_is_pinned_or_carries_what_stays_is_not_removable(disk: DiskTier, directory: Path) -> None:
    chain = make_chain([1], [2], [3])
    published(disk, *chain)
    Pins(directory).add([chain[1].key])
    disk.index.pin([chain[1].key], pinned=True)
    found = survey(directory)
    assert [row.key for row in found.removable(found.rows.keys())] == [chain[2].key]
    assert found.removable({chain[0].key}) == []


def test_blocks_whose_beginning_is_gone_are_orphans(disk: DiskTier) -> None:
    chain = make_chain([1], [2], [3])
    published(disk, *chain)
    disk.quarantine(chain[0].key)
    found = survey(disk.files.directory)
    assert [row.key for row in found.orphans] == [chain[2].key, chain[1].key]


def test_without_a_usable_index_the_files_tell(disk: DiskTier, directory: Path) -> None:
    chain = make_chain([1], [2])
    published(disk, *chain)
    Pins(directory).add([chain[1].key])
    disk.close()
    (directory / INDEX_NAME).write_bytes(b"noise" * 1000)
    found = survey(directory)
    assert [(row.key, row.is_pinned) for row in found.chain(chain[1].key)] == [
        (chain[0].key, False),
        (chain[1].key, True),
    ]
