"""What stands behind a root: which model, adapters and settings. For people; nothing is found through it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from erllama_cache.atomic import write_atomically
from erllama_cache.keys import RootRecord


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
        self._noted: set[bytes] = set()

    def note(self, root: bytes, origin: Origin) -> None:
        """Write down where a root comes from, once. Raises OSError."""
        if root in self._noted:
            return
        path = self._folder / f"{root.hex()}.json"
        if not path.exists():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_atomically(path, [msgspec.json.encode(origin)])
        self._noted.add(root)

    def all(self) -> dict[bytes, Origin]:
        """What is known, by root."""
        found: dict[bytes, Origin] = {}
        for path in self._folder.glob("*.json"):
            try:
                found[bytes.fromhex(path.stem)] = msgspec.json.decode(path.read_bytes(), type=Origin)
            except (OSError, ValueError):
                continue
        return found

    def forget(self, roots: set[bytes]) -> None:
        """Leave only these roots; the caller knows that nothing of the others is left. Raises OSError."""
        for path in self._folder.glob("*.json"):
            if path.stem not in {root.hex() for root in roots}:
                path.unlink(missing_ok=True)
        self._noted &= roots
