"""What stands behind a root: which model, adapters and settings. For people; nothing is found through it."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from erllama_cache.disk.atomic import write_atomically
from erllama_cache.disk.difference import Difference
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

    def differences(self, here: Origin) -> list[Difference]:
        """In what this origin, which is there, differs from the one that is here; the model comes first."""
        ours, theirs = here._facets(), self._facets()
        return [
            Difference(name, *_told_apart(there, here_))
            for (name, there), here_ in zip(theirs.items(), ours.values(), strict=True)
            if there.identity != here_.identity
        ]

    def _facets(self) -> dict[str, _Facet]:
        record, adapters = self.record, self.adapters
        rope = ", ".join(f"{name}={value:g}" for name, value in sorted(record.rope.items()))
        kv_type = record.type_k if record.type_k == record.type_v else f"{record.type_k}/{record.type_v}"
        return {
            "model": _Facet(self.model_fingerprint, self.model),
            "adapter": _Facet(
                ",".join(f"{adapter.sha256}={adapter.scale!r}" for adapter in adapters),
                ", ".join(f"{adapter.name}={adapter.scale:g}" for adapter in adapters) or "none",
            ),
            "kv type": _Facet(kv_type, kv_type),
            "flash attention": _Facet(record.flash_attention, record.flash_attention),
            "rope": _Facet(rope, rope or "the model's own"),
            "block length": _Facet(str(record.block_tokens), str(record.block_tokens)),
            "llama.cpp build": _Facet(record.build, record.build),
            "compute backend": _Facet(record.backend, record.backend),
            "threads": _Facet(str(record.threads), str(record.threads)),
            "cache format": _Facet(str(record.format_version), str(record.format_version)),
        }


class _Facet(NamedTuple):
    """What makes one thing about an origin the same or not, and what people call it."""

    identity: str
    words: str


def _told_apart(there: _Facet, here: _Facet) -> tuple[str, str]:
    """What people call both, with the beginning of what they are where that is the same."""
    if there.words != here.words:
        return there.words, here.words
    return f"{there.words} ({there.identity[:8]})", f"{here.words} ({here.identity[:8]})"


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
