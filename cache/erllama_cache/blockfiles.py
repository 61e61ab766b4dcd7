"""The files of the disk tier: written so that a name only ever stands for a whole block."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from erllama_cache.block import HEADER_BYTES, Block, BlockHeader, decode, decode_header, encode
from erllama_cache.errors import BlockCorrupt, CacheUnwritable

MAX_QUARANTINED_FILES = 8
MAX_TEMPORARY_AGE_S = 3600
ROOM_FOR_INDEX = 256 << 10

_BLOCK_NAME = re.compile(r"([0-9a-f]{64})\.kv")
_TEMPORARY_NAME = re.compile(r"\.[0-9a-f]{64}\.(\d+)\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file below `blocks/`; `key` is None if its name is not that of a block in this place."""

    path: Path
    size: int
    key: bytes | None


class BlockFiles:
    """Block files below one cache directory, each `blocks/<2 hex>/<64 hex>.kv` (files 0600, folders 0700).

    Holds no state: any thread and any number of processes may use it at once.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._blocks = directory / "blocks"
        self._quarantine = directory / "quarantine"

    def is_disk_full(self) -> bool:
        """Whether not even an empty index would fit."""
        folder = next(folder for folder in (self.directory, *self.directory.parents) if folder.exists())
        return shutil.disk_usage(folder).free < ROOM_FOR_INDEX

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
        temporary = path.parent / f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for buffer in encode(block):
                    file.write(buffer)
                file.flush()
                _sync_data(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
        return block.file_bytes

    def read(self, key: bytes) -> Block:
        """Read and check the whole block. Raises FileNotFoundError, OSError or BlockCorrupt."""
        path = self.path(key)
        block = decode(path.read_bytes(), path)
        if block.key != key:
            raise BlockCorrupt(path=path, reason="it is filed under another key")
        return block

    def header(self, found: FoundFile) -> BlockHeader:
        """Read and check the header only. Raises FileNotFoundError, OSError or BlockCorrupt."""
        with found.path.open("rb") as file:
            header = decode_header(file.read(HEADER_BYTES), found.path)
            size = os.fstat(file.fileno()).st_size
        if header.key != found.key:
            raise BlockCorrupt(path=found.path, reason="it is filed under another key")
        if header.file_bytes != size:
            raise BlockCorrupt(path=found.path, reason=f"it has {size} bytes instead of {header.file_bytes}")
        return header

    def remove(self, key: bytes) -> None:
        """Unlink the block's file. Whoever has it open keeps reading it unharmed."""
        self.path(key).unlink(missing_ok=True)

    def set_aside(self, path: Path) -> bool:
        """Move a file to quarantine, which keeps the newest few; False if there was nothing to move."""
        try:
            path.replace(self._quarantine / f"{time.time_ns()}-{path.name}")
        except FileNotFoundError:
            return False
        for old in sorted(self._quarantine.iterdir(), reverse=True)[MAX_QUARANTINED_FILES:]:
            old.unlink(missing_ok=True)
        return True

    def scan(self) -> Iterator[FoundFile]:
        """Every file below `blocks/` except temporary ones, in no order; files that vanish are passed over."""
        for path in self._blocks.glob("*/*"):
            with suppress(FileNotFoundError):
                if not _TEMPORARY_NAME.fullmatch(path.name) and path.is_file():
                    name = _BLOCK_NAME.fullmatch(path.name)
                    key = bytes.fromhex(name[1]) if name else None
                    yield FoundFile(path, path.stat().st_size, key if key and self.path(key) == path else None)

    def sweep(self) -> None:
        """Remove temporary files whose writers are gone."""
        for path in self._blocks.glob("*/.*.tmp"):
            name = _TEMPORARY_NAME.fullmatch(path.name)
            with suppress(FileNotFoundError):
                # After a reboot some other process may bear the number of a writer that died.
                stale = time.time() - path.stat().st_mtime > MAX_TEMPORARY_AGE_S
                if name and (stale or not _is_alive(int(name[1]))):
                    path.unlink()

    def _make_folder(self, folder: Path) -> None:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            _sync_folder(self._blocks)


def _sync_data(descriptor: int) -> None:
    if sys.platform == "darwin":
        os.fsync(descriptor)
    else:
        os.fdatasync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
