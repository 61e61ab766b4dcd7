"""What the engine alone can tell of the cache: what a request would find live, and whether a block is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from erllama_cache.store import Store
from erllama_daemon.engine.adapters import AdapterShelf
from erllama_daemon.engine.backend import Backend
from erllama_daemon.engine.confirmation import confirm_prompt
from erllama_daemon.engine.generation import ChainLink, Generation
from erllama_daemon.engine.recheck import RecheckResult, recheck_block
from erllama_daemon.engine.roots import Roots
from erllama_daemon.engine.solo import SoloBuffer
from erllama_daemon.errors import NotSupported
from erllama_daemon.frames import Generate


class Inspection:
    """A look at the parts of an engine, for people. Engine's thread only, between two ticks."""

    def __init__(
        self,
        backend: Backend,
        store: Store,
        shelf: AdapterShelf,
        roots: Roots,
        solo: SoloBuffer | None,
        model: str,
    ) -> None:
        self._backend = backend
        self._store = store
        self._shelf = shelf
        self._roots = roots
        self._solo = solo
        self._model = model

    @property
    def attached_root(self) -> bytes:
        """The root of a request that brings no adapters. Any thread may ask."""
        return self._roots.key(self._shelf.attached.fingerprint)

    @property
    def model_fingerprint(self) -> str:
        """That of the model's file (hex). Any thread may ask."""
        return self._shelf.model_fingerprint.hex()

    def expected_root(self, request: Generate) -> bytes:
        """The root of a request that uses the cache, if no adapter changes meanwhile. Any thread may ask.

        Raises AdapterUnreadable and RequestInvalid.
        """
        return self._roots.key(self._shelf.preview(request.adapters).fingerprint, request.scope)

    def preview(self, generation: Generation) -> list[ChainLink]:
        """Gives a prepared request, which will not run, its adapters and root; the chain that it would find live.

        Raises NotSupported, AdapterUnreadable and RequestInvalid.
        """
        if self._solo is None:
            raise NotSupported(model=self._model, what="generate text")
        generation.adapters = self._shelf.preview(generation.request.adapters)
        self._roots.give(generation, generation.adapters)
        confirm_prompt(generation, self._store, self._backend)
        return self._solo.live_chain(generation)

    def recheck(self, root: bytes, keys: Sequence[bytes], is_wanted: Callable[[], bool]) -> RecheckResult:
        """Computes the last block of a stored chain again, as `recheck_block`, if the attached adapters give its root.

        What was live and finished is let go of first; no request may be running. Raises AdapterUnreadable.
        """
        adapters = self._shelf.take(())
        try:
            if self._solo is None or self._roots.key(adapters.fingerprint) != root:
                return RecheckResult.GONE
            return recheck_block(self._store, self._solo.lend(), keys, adapters.handles, is_wanted)
        finally:
            self._shelf.give_back(adapters)
