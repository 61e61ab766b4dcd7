"""Chains that a request names by their last key alone: only the cache knows what was said there."""

from __future__ import annotations

from erllama_cache.keys import unpack_tokens
from erllama_cache.store import Store
from erllama_daemon.engine.inspection import Inspection
from erllama_daemon.errors import ParentUnknown


class Parents:
    """Looks up the tokens of one model's chains. Any one thread."""

    def __init__(self, store: Store, inspection: Inspection) -> None:
        self._store = store
        self._inspection = inspection

    def tokens(self, key: bytes) -> list[int]:
        """The tokens of the chain that ends in `key`.

        One made under other settings is this model's too, and is read again. Raises ParentUnknown for one of another
        model or somebody's private one, and if not all of it is in the cache.
        """
        wording = self._store.wording(key)
        if wording is None or not self._is_of_this_model(wording.root):
            raise ParentUnknown(key=key.hex())
        return unpack_tokens(wording.tokens)

    def _is_of_this_model(self, root: bytes) -> bool:
        if root == self._inspection.attached_root:
            return True
        origin = self._store.origins().get(root)  # nothing is written down of a private one
        return origin is not None and origin.model_fingerprint == self._inspection.model_fingerprint
