"""The LoRA adapters of one model: each file loaded once, each request with the set that it was admitted with."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from erllama_cache.keys import effective_fingerprint
from erllama_cache.model.fingerprint import safe_fingerprint
from erllama_daemon.engine.adapter_file import check_adapter_file
from erllama_daemon.engine.backend import AdapterRejected, AdapterSet
from erllama_daemon.errors import AdapterUnknown, AdapterUnreadable, RequestInvalid
from erllama_daemon.messages import Adapter, AdapterChoice
from erllama_daemon.messages.checks import float32

SHORTEST_HANDLE = 4
"""Characters of a handle that are enough to name an adapter, if no other handle begins with them."""

_SUMMED_IN_ORDER = 2
"""llama.cpp sums adapters in the order of a hash table of their addresses: two always in the same one, more in any."""


class AdapterLoader(Protocol):
    """The part of a backend that a shelf needs."""

    def load_adapter(self, path: Path) -> int:
        """As of `Backend`."""

    def free_adapter(self, handle: int) -> None:
        """As of `Backend`."""


@dataclass(frozen=True, slots=True)
class EffectiveSet:
    """The adapters that one request is computed with, in the order of their files' SHA-256; none has scale 0.

    `fingerprint` (32 bytes) is the effective one: the model's own if there are no adapters.
    """

    fingerprint: bytes
    adapters: tuple[Adapter, ...]
    handles: AdapterSet


@dataclass(frozen=True, slots=True)
class Attached:
    """The attached adapters, the first one attached first, and the effective fingerprint (32 bytes) of a request
    that has none of its own.
    """

    adapters: tuple[Adapter, ...]
    fingerprint: bytes


@dataclass(slots=True)
class _Loaded:
    """An adapter in memory. `nonce` tells this loading of its file from every other one."""

    handle: int
    nonce: bytes
    takers: int = 0


class AdapterShelf:
    """The adapters attached to a model, and those that requests brought with them.

    An adapter stays in memory while it is attached or in a set that was taken and not given back. Every call belongs
    to the engine's thread, but for `attached` and `preview`. `fingerprint` is the model's own, `memo` as of
    `safe_fingerprint`.
    """

    def __init__(self, backend: AdapterLoader, model: str, fingerprint: bytes, memo: Path) -> None:
        self._backend = backend
        self._model = model
        self.model_fingerprint = fingerprint
        self._memo = memo
        self._loaded: dict[bytes, _Loaded] = {}
        self._attached: dict[bytes, Adapter] = {}
        self.attached = Attached((), fingerprint)

    def attach(self, path: str, scale: float) -> None:
        """Uses an adapter for every set taken from now on; one that is attached already gets this path and scale.

        Raises AdapterUnreadable, and RequestInvalid for a scale that is no finite float32.
        """
        _check_scale(scale)
        digest = self._load(path)
        self._attached[digest] = Adapter(handle=digest.hex(), path=path, scale=scale)
        self._publish()

    def detach(self, name: str) -> None:
        """Leaves an adapter out of the sets taken from now on; one that is not attached is fine.

        `name` is a path, a handle or its beginning. Raises RequestInvalid if several handles begin so.
        """
        digest = self._find(name)
        if digest is not None:
            del self._attached[digest]
            self._publish()
            self._free_unused()

    def rescale(self, name: str, scale: float) -> None:
        """Applies an attached adapter so strongly from now on. Raises AdapterUnknown and RequestInvalid."""
        _check_scale(scale)
        digest = self._find(name)
        if digest is None:
            raise AdapterUnknown(adapter=name, model=self._model)
        self._attached[digest] = Adapter(handle=digest.hex(), path=self._attached[digest].path, scale=scale)
        self._publish()

    def take(self, own: Sequence[AdapterChoice]) -> EffectiveSet:
        """The attached adapters and a request's own, whose scales prevail; to be given back exactly once.

        Raises AdapterUnreadable and RequestInvalid, and has then taken nothing.
        """
        try:
            chosen = dict(self._attached)
            for choice in own:
                _check_scale(choice.scale)
                digest = self._load(choice.path)
                chosen[digest] = Adapter(handle=digest.hex(), path=choice.path, scale=choice.scale)
            adapters = _in_use(chosen)
            for digest in adapters:
                self._loaded[digest].takers += 1
        finally:
            self._free_unused()
        handles = tuple((self._loaded[digest].handle, adapter.scale) for digest, adapter in adapters.items())
        return EffectiveSet(self._fingerprint(adapters), tuple(adapters.values()), handles)

    def preview(self, own: Sequence[AdapterChoice]) -> EffectiveSet:
        """The set that `take` would give now, but nothing is loaded for it, so that it has no handles.

        Any thread may ask. Raises as `take`, for what can be told from a file without loading it.
        """
        chosen = dict(self._attached)
        for choice in own:
            _check_scale(choice.scale)
            with _named_failures(choice.path):
                digest = self._digest(Path(choice.path))
            chosen[digest] = Adapter(handle=digest.hex(), path=choice.path, scale=choice.scale)
        adapters = _in_use(chosen)
        return EffectiveSet(self._fingerprint(adapters), tuple(adapters.values()), ())

    def give_back(self, effective_set: EffectiveSet) -> None:
        """Ends the use of a taken set; adapters that nobody uses any more are freed."""
        for adapter in effective_set.adapters:
            self._loaded[bytes.fromhex(adapter.handle)].takers -= 1
        self._free_unused()

    def _publish(self) -> None:
        self.attached = Attached(tuple(self._attached.values()), self._fingerprint(_in_use(self._attached)))

    def _fingerprint(self, adapters: Mapping[bytes, Adapter]) -> bytes:
        if not adapters:
            return self.model_fingerprint
        pairs = [(digest, adapter.scale) for digest, adapter in adapters.items()]
        effective = effective_fingerprint(self.model_fingerprint, pairs)
        if len(adapters) <= _SUMMED_IN_ORDER:
            return effective
        # Loaded elsewhere, the same adapters may add up in another order, to other bits: their state is nobody else's.
        loaded = [self._loaded.get(digest) for digest in adapters]
        nonces = (os.urandom(16) if each is None else each.nonce for each in loaded)
        return hashlib.sha256(b"".join((effective, *nonces))).digest()

    def _find(self, name: str) -> bytes | None:
        for digest, adapter in self._attached.items():
            if adapter.path == name:
                return digest
        if len(name) < SHORTEST_HANDLE:
            return None
        found = [digest for digest, adapter in self._attached.items() if adapter.handle.startswith(name.lower())]
        if len(found) > 1:
            raise RequestInvalid(reason=f"{len(found)} attached adapters have a handle that begins with {name}")
        return found[0] if found else None

    def _load(self, path: str) -> bytes:
        """The SHA-256 of an adapter's file, which is in memory afterwards."""
        file = Path(path)
        with _named_failures(path):
            digest = self._digest(file)
            if digest not in self._loaded:
                check_adapter_file(file)
                handle = self._backend.load_adapter(file)
                self._loaded[digest] = _Loaded(handle, os.urandom(16))
                self._check_unchanged(file, digest)
        return digest

    def _digest(self, file: Path) -> bytes:
        if not file.is_file():
            raise AdapterRejected("it is not a file" if file.exists() else "there is no such file")
        return safe_fingerprint(file, self._memo)

    def _check_unchanged(self, file: Path, digest: bytes) -> None:
        """A file replaced in between would put one adapter's state under the other's name."""
        try:
            if safe_fingerprint(file, self._memo) != digest:
                raise AdapterRejected("it changed while it was loaded")
        except (AdapterRejected, OSError):
            self._backend.free_adapter(self._loaded.pop(digest).handle)
            raise

    def _free_unused(self) -> None:
        for digest, loaded in list(self._loaded.items()):
            if loaded.takers == 0 and digest not in self._attached:
                del self._loaded[digest]
                self._backend.free_adapter(loaded.handle)


@contextmanager
def _named_failures(path: str) -> Iterator[None]:
    """Makes whatever is wrong with an adapter's file an AdapterUnreadable."""
    try:
        yield
    except (AdapterRejected, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise AdapterUnreadable(path=path, reason=reason) from error


def _in_use(adapters: Mapping[bytes, Adapter]) -> dict[bytes, Adapter]:
    """Those that change anything, in the order of their SHA-256."""
    return {digest: adapters[digest] for digest in sorted(adapters) if float32(adapters[digest].scale) != 0.0}


def _check_scale(scale: float) -> None:
    if not math.isfinite(float32(scale)):
        raise RequestInvalid(reason=f"an adapter's scale is {scale}")
