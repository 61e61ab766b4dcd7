"""Looking a cache directory over after something happened to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from erllama_cache.block import Block
from erllama_cache.counters import Tally
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.row import LABEL_CHARACTERS
from erllama_cache.disk.tier import DiskTier
from erllama_cache.tending.verification import verify


def temporary_files(directory: Path) -> list[Path]:
    return list(directory.rglob("*.tmp"))


def by_key(blocks: Iterable[Block]) -> dict[bytes, list[Block]]:
    """What may be served under a key: a block with logits, one without, or both."""
    versions: dict[bytes, list[Block]] = {}
    for block in blocks:
        versions.setdefault(block.key, []).append(block)
    return versions


def check(disk: DiskTier, versions: Mapping[bytes, list[Block]]) -> set[bytes]:
    """Index, files and pins of an open tier agree, and what it serves are these blocks; gives their keys."""
    directory = disk.files.directory
    rows = {row.key: row for row in disk.index.rows()}
    files = list(disk.files.scan())
    assert {file.key: file.size for file in files} == {key: row.file_bytes for key, row in rows.items()}
    assert (disk.totals().rows, disk.totals().file_bytes) == (len(rows), sum(row.file_bytes for row in rows.values()))
    for key, row in rows.items():
        read = disk.load(key)
        assert read is not None
        assert read in versions[key]
        assert row.describes(read)
        assert (row.has_logits, row.label) == (read.has_logits, read.label[:LABEL_CHARACTERS])
        assert row.parent in rows or row.parent == row.root
    pins = Pins(directory)
    assert {key for key, row in rows.items() if row.is_pinned} == pins.all() & rows.keys()
    assert temporary_files(directory) == []
    return set(rows)


def check_after_death(
    directory: Path, quota: int, versions: Mapping[bytes, list[Block]], acknowledged: Iterable[Block]
) -> set[bytes]:
    """After a kill: nothing is damaged, and all that was acknowledged is served or known to have made room."""
    tally = Tally()
    disk = DiskTier(directory, quota, tally)
    disk.open()
    held = check(disk, versions)
    assert disk.totals().file_bytes + disk.files.foreign_bytes() <= quota
    assert "quarantined" not in tally.peek()
    for block in acknowledged:
        if block.key in held:
            found = disk.find(block.key)
            assert found is not None
            assert found.has_logits >= block.has_logits
        else:
            departed = disk.index.departed(block.key)
            assert departed is not None
            assert departed[1] == "evicted"
    disk.close()
    verdict = verify(directory)
    assert verdict.is_clean
    assert (verdict.blocks, verdict.unreachable) == (len(held), 0)
    return held
