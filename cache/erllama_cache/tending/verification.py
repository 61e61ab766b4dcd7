"""Looking at every block file from its first byte to its last, and mending what is wrong."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import filelock
import msgspec

from erllama_cache.block import Block
from erllama_cache.counters import Tally
from erllama_cache.disk.files import BlockFiles, FoundFile, check_directory
from erllama_cache.disk.index import INDEX_NAME, Index
from erllama_cache.disk.locks import LOCK_NAME
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.recovery import open_index
from erllama_cache.disk.row import Row
from erllama_cache.errors import BlockCorrupt, IndexUnusable
from erllama_cache.keys import KEY_BYTES

OnProgress = Callable[[int, int], None]
"""Called with the bytes looked at so far, and with all that there are to look at."""


class Damage(msgspec.Struct, frozen=True):
    """A file that is not what it has to be, and why."""

    path: str
    reason: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found.

    `damaged` are files that no request would get past the checks of a load. `unreachable` counts whole blocks whose
    chain has lost its beginning, `unindexed` whole files that the index does not name or names otherwise, `missing`
    rows without a file, `is_index_usable` whether the index can be read at all.
    """

    blocks: int
    bytes: int
    damaged: list[Damage]
    unreachable: int
    unindexed: int
    missing: int
    is_index_usable: bool
    repaired: bool = False

    @property
    def is_clean(self) -> bool:
        """Whether nothing has to be mended. Unreachable blocks are harmless: they only take room."""
        return self.is_index_usable and not (self.damaged or self.unindexed or self.missing)


@dataclass
class _Found:
    """Every file, sorted by what it is; `rows` are what an index has to say of the whole ones."""

    rows: dict[bytes, Row] = field(default_factory=dict)
    damaged: list[tuple[FoundFile, str]] = field(default_factory=list)
    bytes: int = 0


def verify(directory: Path, on_progress: OnProgress | None = None) -> Verdict:
    """Check every file's checksums and key, and that each block fits its parent. Changes nothing, creates nothing.

    Blocks that other processes write or remove meanwhile are no finding. Raises CacheUnreadable and OSError.
    """
    check_directory(directory)
    found = _read_all(directory, on_progress)
    return _verdict(found, _compared(found, directory), directory)


def repair(directory: Path, on_progress: OnProgress | None = None) -> Verdict:
    """Verify, move damaged files to quarantine, and make the index agree with the files; uses and hits are kept.

    Safe beside other processes. The verdict tells what was found before. Raises OSError and IndexUnusable.
    """
    files = BlockFiles(directory)
    files.prepare()
    # Before the lock: reading takes long, and who opens the cache waits for it.
    found = _read_all(directory, on_progress, sweep=True)
    with filelock.FileLock(directory / LOCK_NAME, mode=0o600):
        verdict = _verdict(found, _compared(found, directory), directory)
        index = open_index(directory / INDEX_NAME, files, Tally())
        try:
            _mend(found, files, index, Pins(directory).all())
        finally:
            index.close()
    return msgspec.structs.replace(verdict, repaired=True)


def _read_all(directory: Path, on_progress: OnProgress | None, *, sweep: bool = False) -> _Found:
    files, found = BlockFiles(directory), _Found()
    everything = list(files.scan(sweep=sweep))
    total = sum(file.size for file in everything)
    for file in everything:
        try:
            if file.key is None or len(file.key) != KEY_BYTES:
                raise BlockCorrupt(path=file.path, reason="its name is not that of a block")
            block = files.read(file.key)
            found.rows[block.key] = Row.of(block, used=block.created, label=block.label)
        except FileNotFoundError:
            pass
        except BlockCorrupt as error:
            found.damaged.append((file, str(error.details["reason"])))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # A bad spot of the disk: the other files are no worse for it.
            found.damaged.append((file, "the disk cannot read it"))
        found.bytes += file.size
        if on_progress is not None:
            on_progress(found.bytes, total)
    _check_links(found, files)
    return found


def _check_links(found: _Found, files: BlockFiles) -> None:
    """A block whose parent ends elsewhere or has another root is damaged, however well its checksums agree."""
    for row in list(found.rows.values()):
        parent = found.rows.get(row.parent)
        if parent is not None and (parent.end != row.start or parent.root != row.root):
            path = files.path(row.key)
            found.damaged.append(
                (FoundFile(str(path), row.file_bytes, row.key), "it does not fit the block it extends")
            )
            del found.rows[row.key]


def _compared(found: _Found, directory: Path) -> dict[bytes, Row] | None:
    """What the index says. Where it says otherwise than a file did, that is looked at again: it may be written anew."""
    files, indexed = BlockFiles(directory), _indexed(directory)
    if not (wrong := _wrong(found, indexed or {})):
        return indexed
    for row in wrong:
        with suppress(BlockCorrupt):
            try:
                head = files.head(row.key)
                found.rows[row.key] = Row.of(head.header, used=head.header.created, label=head.label)
            except FileNotFoundError:
                del found.rows[row.key]
    return _indexed(directory)


def _wrong(found: _Found, indexed: Mapping[bytes, Row]) -> list[Row]:
    """What the index does not know, or knows otherwise."""
    return [row for key, row in found.rows.items() if key not in indexed or not _agree(indexed[key], row)]


def _indexed(directory: Path) -> dict[bytes, Row] | None:
    """Every row by key; None if the index cannot be read."""
    path = directory / INDEX_NAME
    index = Index(path, read_only=True)
    try:
        return {row.key: row for row in index.rows()} if path.is_file() else {}
    except IndexUnusable:
        return None
    finally:
        index.close()


def _verdict(found: _Found, indexed: dict[bytes, Row] | None, directory: Path) -> Verdict:
    files, rows = BlockFiles(directory), indexed or {}
    seen = found.rows.keys() | {file.key for file, _reason in found.damaged}
    reachable: set[bytes] = set()
    for row in sorted(found.rows.values(), key=lambda row: row.start):
        if row.parent == row.root or row.parent in reachable:
            reachable.add(row.key)
    return Verdict(
        blocks=len(found.rows),
        bytes=found.bytes,
        damaged=[Damage(str(file.path), reason) for file, reason in found.damaged],
        unreachable=len(found.rows) - len(reachable),
        unindexed=sum(files.path(row.key).exists() for row in _wrong(found, rows)),
        missing=sum(not files.path(key).exists() for key in rows.keys() - seen),
        is_index_usable=indexed is not None,
    )


def _agree(indexed: Row, found: Row) -> bool:
    """Whether a row says what its file does; uses and pins are the index's own."""
    own = {name: getattr(found, name) for name in ("used", "hits", "heat", "is_pinned")}
    return replace(indexed, **own) == found


def _mend(found: _Found, files: BlockFiles, index: Index, pinned: set[bytes]) -> None:
    for file, _reason in found.damaged:
        if file.key is not None:
            index.delete([file.key], "damaged")
        files.set_aside(file.path)
    indexed = {row.key: row for row in index.rows()}
    wrong = _wrong(found, indexed)
    kept = [
        replace(row, used=old.used, hits=old.hits, heat=old.heat) if (old := indexed.get(row.key)) else row
        for row in wrong
    ]
    index.delete(row.key for row in wrong)
    index.insert((replace(row, is_pinned=row.key in pinned) for row in kept), may_be_orphans=True)
    index.delete(key for key in indexed.keys() | found.rows.keys() if not files.path(key).exists())


def recheck(block: Block, again: Block) -> bool:
    """Whether a block that was computed again has every bit of the one that was saved."""
    return (block.key, bytes(block.payload)) == (again.key, bytes(again.payload)) and (
        not (block.logits and again.logits) or block.logits == again.logits
    )
