"""Pins: which blocks no eviction takes. Kept as files, so that an index made anew still knows them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from erllama_cache.disk.atomic import sync_folder
from erllama_cache.keys import KEY_BYTES


class Pins:
    """One empty file a pinned block, `pins/<64 hex>`. Any number of processes may use it at once."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "pins"

    def add(self, keys: Iterable[bytes]) -> None:
        """Pin these blocks; durable when it returns. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for key in keys:
            (self._folder / key.hex()).touch(mode=0o600)
        sync_folder(self._folder)

    def remove(self, keys: Iterable[bytes]) -> None:
        """Unpin these blocks; one that is not pinned is fine. Raises OSError."""
        for key in keys:
            (self._folder / key.hex()).unlink(missing_ok=True)

    def __contains__(self, key: bytes) -> bool:
        return (self._folder / key.hex()).exists()

    def all(self) -> set[bytes]:
        """The keys of the pinned blocks, whether they are in the cache or not."""
        if not self._folder.is_dir():
            return set()
        names = (path.name for path in self._folder.iterdir())
        return {bytes.fromhex(name) for name in names if len(name) == 2 * KEY_BYTES and _is_hex(name)}


def _is_hex(name: str) -> bool:
    return not name.strip("0123456789abcdef")
