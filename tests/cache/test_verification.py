import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import filelock
import pytest
from cache.samples import LOGITS, OTHER_ROOT, make_block, make_chain

from erllama_cache.block import Block
from erllama_cache.disk.index import INDEX_NAME
from erllama_cache.disk.locks import LOCK_NAME
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.tier import DiskTier
from erllama_cache.tending.verification import OnProgress, Verdict, recheck, repair, verify

QUOTA = 1 << 20


@pytest.fixture
def chain(disk: DiskTier) -> list[Block]:
    chain = make_chain([1, 2], [3], [4])
    for block in chain:
        disk.publish(block)
    return chain


@pytest.mark.usefixtures("chain")
def test_a_sound_cache_is_clean_and_progress_ends_at_the_whole(disk: DiskTier) -> None:
    told: list[tuple[int, int]] = []
    verdict = verify(disk.files.directory, lambda done, total: told.append((done, total)))
    assert verdict.is_clean
    assert (verdict.blocks, verdict.unreachable) == (3, 0)
    assert told[-1] == (verdict.bytes, verdict.bytes)


def test_a_cache_that_is_not_there_is_clean_and_stays_away(tmp_path: Path) -> None:
    assert verify(tmp_path / "none").is_clean
    assert not (tmp_path / "none").exists()


def test_a_flipped_bit_is_found_and_repaired(disk: DiskTier, chain: list[Block]) -> None:
    path = disk.files.path(chain[1].key)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    verdict = verify(disk.files.directory)
    assert [Path(damage.path) for damage in verdict.damaged] == [path]
    assert not verdict.is_clean
    assert verdict.unreachable == 1
    assert path.exists()

    assert repair(disk.files.directory).repaired
    again = verify(disk.files.directory)
    assert again.is_clean
    assert (again.blocks, again.unreachable) == (2, 1)
    assert not path.exists()
    assert disk.find(chain[1].key) is None


def test_a_file_that_the_disk_cannot_read_is_damaged_and_the_others_are_looked_at(
    disk: DiskTier, chain: list[Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read_bytes = disk.files.path(chain[1].key), Path.read_bytes

    def read(file: Path) -> bytes:
        if file == path:
            raise OSError(errno.EIO, "Input/output error")
        return read_bytes(file)

    monkeypatch.setattr(Path, "read_bytes", read)
    verdict = repair(disk.files.directory)
    assert ([Path(damage.path) for damage in verdict.damaged], verdict.blocks) == ([path], 2)
    assert verify(disk.files.directory).is_clean


def test_a_block_that_does_not_fit_its_parent_is_damaged(disk: DiskTier, chain: list[Block]) -> None:
    stranger = replace(make_block([5], chain[2]), start=99)
    foreign = Block(
        root=OTHER_ROOT,
        parent=chain[2].key,
        kind=stranger.kind,
        start=chain[2].end,
        tokens=stranger.tokens,
        reason=stranger.reason,
        payload=b"x",
    )
    for block in (stranger, foreign):
        disk.files.write(block)
        assert [Path(damage.path) for damage in verify(disk.files.directory).damaged] == [disk.files.path(block.key)]
        repair(disk.files.directory)
    assert verify(disk.files.directory).is_clean


def test_index_and_files_are_brought_together_and_uses_are_kept(disk: DiskTier, chain: list[Block]) -> None:
    disk.index.touch([chain[0].key], now=5e9)
    Pins(disk.files.directory).add([chain[1].key])
    disk.index.delete([chain[1].key])
    disk.files.path(chain[2].key).unlink()
    with_logits = replace(chain[0], logits=LOGITS)
    disk.files.write(with_logits)
    verdict = repair(disk.files.directory)
    assert (verdict.unindexed, verdict.missing, verdict.is_clean) == (2, 1, False)
    assert verify(disk.files.directory).is_clean
    first, second = disk.index.get(chain[0].key), disk.index.get(chain[1].key)
    assert first is not None and first.has_logits and first.hits == 1 and first.used == 5e9
    assert second is not None and second.is_pinned


@pytest.mark.parametrize("look", [verify, repair])
def test_what_others_write_and_remove_meanwhile_is_no_finding(
    disk: DiskTier, chain: list[Block], look: Callable[[Path, OnProgress], Verdict]
) -> None:
    with_logits = replace(chain[1], logits=LOGITS)

    def interfere(done: int, total: int) -> None:
        if done == total:
            disk.publish(with_logits)
            disk.index.delete_leaves([chain[2].key], "evicted", now=0.0)
            disk.files.remove(chain[2].key)
            with filelock.FileLock(disk.files.directory / LOCK_NAME, timeout=0):
                pass  # as somebody who opens the cache

    verdict = look(disk.files.directory, interfere)
    assert (verdict.is_clean, verdict.blocks) == (True, 2)
    assert disk.load(chain[1].key) == with_logits
    found = disk.find(chain[1].key)
    assert found is not None and found.has_logits
    assert verify(disk.files.directory).is_clean


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize("noise", [b"", b"noise" * 1000])
def test_an_index_of_noise_is_rebuilt(disk: DiskTier, noise: bytes) -> None:
    disk.close()
    path = disk.files.directory / INDEX_NAME
    for beside in path.parent.glob(f"{INDEX_NAME}-*"):
        beside.unlink()
    path.write_bytes(noise)
    assert not verify(disk.files.directory).is_clean
    repair(disk.files.directory)
    assert verify(disk.files.directory).is_clean


def test_a_recomputed_block_has_to_have_every_bit() -> None:
    block = make_block([1], logits=LOGITS)
    assert recheck(block, replace(block))
    assert recheck(block, replace(block, logits=b""))
    assert not recheck(block, replace(block, payload=bytes(block.payload)[:-1] + b"?"))
    assert not recheck(block, replace(block, logits=LOGITS[::-1]))
