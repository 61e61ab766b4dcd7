"""What stands behind a root: which model, adapters and settings. For people; nothing is found through it."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import msgspec

from erllama_cache.atomic import write_atomically
from erllama_cache.keys import RootRecord

FRESH_S = 3600.0
"""A root written down within this time is in use, whether it has blocks or not."""


class AdapterOrigin(msgspec.Struct, frozen=True):
    """An adapter: its file's name, its SHA-256 (hex), and how strongly it was applied."""

    name: str
    sha256: str
    scale: float


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a root was made from. `model` is as its user calls it, `model_fingerprint` that of its file (hex)."""

    model: str
    model_fingerprint: str
    adapters: list[AdapterOrigin] = []
    record: RootRecord


class Origins:
    """One small file a root, `roots/<64 hex>.json`. A lost or damaged one costs only a name.

    Any thread and any number of processes may use it at once.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "roots"

    def note(self, root: bytes, origin: Origin) -> None:
        """Write down where a root comes from, once. Raises OSError."""
        path = self._folder / f"{root.hex()}.json"
        if not path.exists():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_atomically(path, [msgspec.json.encode(origin)])

    def all(self) -> dict[bytes, Origin]:
        """What is known, by root."""
        found: dict[bytes, Origin] = {}
        for path in self._folder.glob("*.json"):
            try:
                found[bytes.fromhex(path.stem)] = msgspec.json.decode(path.read_bytes(), type=Origin)
            except (OSError, ValueError):
                continue
        return found

    def unused(self, roots: Collection[bytes]) -> list[Path]:
        """The files of all other roots than these; not one just written, whose first block may be on its way."""
        found = []
        for path in self._folder.glob("*.json"):
            with suppress(FileNotFoundError, ValueError):
                is_fresh = time.time() - path.stat().st_mtime < FRESH_S
                if not is_fresh and bytes.fromhex(path.stem) not in roots:
                    found.append(path)
        return found
