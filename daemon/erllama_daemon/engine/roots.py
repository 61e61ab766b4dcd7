"""Roots: what a request's chain commits to before its first token."""

from __future__ import annotations

import secrets
from pathlib import PurePath

from msgspec.structs import replace

from erllama_cache.disk.origins import AdapterOrigin, Origin
from erllama_cache.keys import RootRecord, root_key
from erllama_daemon.engine.adapters import EffectiveSet
from erllama_daemon.engine.backend import BackendFacts
from erllama_daemon.engine.generation import Generation

CACHE_FORMAT = 2
"""Part of every root: raised when blocks written before can no longer be used."""


class Roots:
    """The roots of one model's requests. `model_fingerprint` is that of its file. Engine's thread only."""

    def __init__(self, facts: BackendFacts, block_tokens: int, *, model: str, model_fingerprint: bytes) -> None:
        self._model = model
        self._model_fingerprint = model_fingerprint.hex()
        self._private: dict[str, set[bytes]] = {}
        self._record = RootRecord(
            format_version=CACHE_FORMAT,
            fingerprint="",
            type_k=facts.type_k,
            type_v=facts.type_v,
            flash_attention=facts.flash_attention,
            rope=facts.rope,
            block_tokens=block_tokens,
            build=facts.build,
            backend=f"{facts.name} {facts.device}",
            threads=facts.threads,
        )

    def give(self, generation: Generation, adapters: EffectiveSet) -> None:
        """Gives a request its root, and its origin if anybody may see what it saves.

        One that leaves the cache alone has a root that no other request ever has, so that none shares its state.
        """
        request = generation.request
        scope = request.scope if request.cache or request.scope else secrets.token_hex(16)
        record = replace(self._record, fingerprint=adapters.fingerprint.hex(), scope=scope)
        generation.root = root_key(record)
        if generation.is_private:
            self._private.setdefault(scope, set()).add(generation.root)
        elif request.cache:
            generation.origin = self._origin(record, adapters)

    def key(self, fingerprint: bytes, scope: str = "") -> bytes:
        """The root of what anybody may see, or all of one scope, for an effective fingerprint. Any thread may ask."""
        return root_key(replace(self._record, fingerprint=fingerprint.hex(), scope=scope))

    def forget(self, scope: str) -> set[bytes]:
        """The roots that private requests of this scope were given, for the last time."""
        return self._private.pop(scope, set())

    def _origin(self, record: RootRecord, adapters: EffectiveSet) -> Origin:
        return Origin(
            model=self._model,
            model_fingerprint=self._model_fingerprint,
            adapters=[AdapterOrigin(PurePath(each.path).name, each.handle, each.scale) for each in adapters.adapters],
            record=record,
        )
