"""The files of the disk tier: written so that a name only ever stands for a whole block."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from erllama_cache.block import HEADER_BYTES, Block, BlockHeader, decode, decode_header, decode_text, encode
from erllama_cache.disk.atomic import TEMPORARY_NAME, sync_folder, write_atomically
from erllama_cache.errors import BlockCorrupt, CacheUnreadable, CacheUnwritable

MAX_QUARANTINED_FILES = 8
MAX_TEMPORARY_AGE_S = 3600

_BLOCK_NAME = re.compile(r"([0-9a-f]{64})\.kv")
_OWN_NAMES = {"blocks", "quarantine", "roots", "pins", "open.lock", ".locking"}
_OWN_BEGINNINGS = ("index.sqlite3", "fingerprints.sqlite3", "models.sqlite3")


class FoundFile(NamedTuple):
    """A file below `blocks/`; `key` is None if its name is not that of a block in this place."""

    name: str
    size: int
    key: bytes | None

    @property
    def path(self) -> Path:
        """Where it is. Made when asked for: there may be very many files, and few that anybody asks about."""
        return Path(self.name)


@dataclass(frozen=True, slots=True)
class Head:
    """A block file without its state. `tokens` are little-endian u32."""

    header: BlockHeader
    tokens: bytes
    label: str


class BlockFiles:
    """Block files below one cache directory, each `blocks/<2 hex>/<64 hex>.kv` (files 0600, folders 0700).

    Holds no state: any thread and any number of processes may use it at once.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._blocks = directory / "blocks"
        self._quarantine = directory / "quarantine"

    def prepare(self) -> None:
        """Create the folders and make sure that files can be created. Raises CacheUnwritable."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self._blocks, self._quarantine):
                folder.mkdir(mode=0o700, exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise CacheUnwritable(path=self.directory, reason=error.strerror or error) from error

    def path(self, key: bytes) -> Path:
        """Where the block of this key is, or would be."""
        name = key.hex()
        return self._blocks / name[:2] / f"{name}.kv"

    def write(self, block: Block) -> int:
        """Publish the block under its name and return the bytes written.

        When this returns, the file and its name have been handed to the disk with fdatasync and fsync. Raises
        OSError: then no temporary file is left, and the name stands for what it stood for or for the whole block.
        """
        path = self.path(block.key)
        self._make_folder(path.parent)
        write_atomically(path, encode(block))
        return block.file_bytes

    def read(self, key: bytes) -> Block:
        """Read and check the whole block. Raises FileNotFoundError, OSError or BlockCorrupt."""
        path = self.path(key)
        block = decode(path.read_bytes(), path)
        if block.key != key:
            raise BlockCorrupt(path=path, reason="it is filed under another key")
        return block

    def head(self, key: bytes) -> Head:
        """Read all but the state, and check header and size. Raises FileNotFoundError, OSError or BlockCorrupt."""
        path = self.path(key)
        with path.open("rb") as file:
            data = file.read(HEADER_BYTES)
            header = decode_header(data, path)
            data += file.read(header.text_bytes - HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
        if header.key != key:
            raise BlockCorrupt(path=path, reason="it is filed under another key")
        if header.file_bytes != size:
            raise BlockCorrupt(path=path, reason=f"it has {size} bytes instead of {header.file_bytes}")
        tokens, label = decode_text(data, header)
        return Head(header, tokens, label.decode(errors="ignore"))

    def remove(self, key: bytes) -> None:
        """Unlink the block's file. Whoever has it open keeps reading it unharmed."""
        self.path(key).unlink(missing_ok=True)

    def set_aside(self, path: Path) -> bool:
        """Move a file to quarantine, which keeps the newest few; False if there was nothing to move."""
        try:
            self._quarantine.mkdir(mode=0o700, exist_ok=True)
            path.replace(self._quarantine / f"{time.time_ns()}-{path.name}")
        except FileNotFoundError:
            return False
        for old in sorted(self._quarantine.iterdir(), reverse=True)[MAX_QUARANTINED_FILES:]:
            old.unlink(missing_ok=True)
        return True

    def scan(self, *, sweep: bool = False) -> Iterator[FoundFile]:
        """Every file below `blocks/` except temporary ones, in no order; files that vanish are passed over.

        With `sweep`, temporary files whose writers are gone are removed on the way.
        """
        for folder in _entries(self._blocks):
            for entry in _entries(folder.path) if folder.is_dir(follow_symlinks=False) else ():
                key = _key_of(entry.name, folder.name)
                try:
                    if key is None and TEMPORARY_NAME.fullmatch(entry.name):
                        if sweep and _is_left(entry):
                            Path(entry.path).unlink()
                    elif entry.is_file():
                        yield FoundFile(entry.path, entry.stat().st_size, key)
                except FileNotFoundError:
                    continue
        for entry in _entries(self.directory / "roots") if sweep else ():
            if _is_left(entry):
                Path(entry.path).unlink(missing_ok=True)

    def foreign_bytes(self) -> int:
        """How much room is taken in the directory by what is neither a block nor needed to find one."""
        total = 0
        for entry in _entries(self.directory):
            if entry.name in _OWN_NAMES - {"quarantine"} or entry.name.startswith(_OWN_BEGINNINGS):
                continue
            inside = Path(entry.path).rglob("*") if entry.is_dir(follow_symlinks=False) else [Path(entry.path)]
            for path in inside:
                with suppress(FileNotFoundError):
                    total += 0 if path.is_dir() else path.lstat().st_size
        return total

    def quarantined(self) -> list[Path]:
        """The files that were set aside."""
        return [Path(entry.path) for entry in _entries(self._quarantine)]

    def unfinished(self) -> Iterator[Path]:
        """Temporary files whose writers are gone."""
        places = [folder.path for folder in _entries(self._blocks)]
        for place in (*places, str(self.directory / "roots")):
            yield from (Path(entry.path) for entry in _entries(place) if _is_left(entry))

    def _make_folder(self, folder: Path) -> None:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            sync_folder(self._blocks)


def check_directory(directory: Path) -> None:
    """Raises CacheUnreadable if something that is no directory is in the cache's place; nothing there is fine."""
    if directory.exists() and not directory.is_dir():
        raise CacheUnreadable(path=directory, reason="it is not a directory")


def _key_of(name: str, folder: str) -> bytes | None:
    """The key of the block that a file of this name, in this folder, has to hold."""
    match = _BLOCK_NAME.fullmatch(name)
    return bytes.fromhex(match[1]) if match and match[1].startswith(folder) and len(folder) == 2 else None


def _is_left(entry: os.DirEntry[str]) -> bool:
    """Whether a file is a temporary one whose writer is gone."""
    name = TEMPORARY_NAME.fullmatch(entry.name)
    if name is None:
        return False
    try:
        # After a reboot some other process may bear the number of a writer that died.
        return time.time() - entry.stat().st_mtime > MAX_TEMPORARY_AGE_S or not _is_alive(int(name[1]))
    except FileNotFoundError:
        return False


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
