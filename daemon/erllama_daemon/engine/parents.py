"""Chains that a request goes on from without bringing their tokens: only the cache knows those."""

from __future__ import annotations

import functools

from erllama_cache.keys import unpack_tokens
from erllama_cache.store import Store
from erllama_daemon.engine.backend import Vocabulary
from erllama_daemon.engine.inspection import Inspection
from erllama_daemon.engine.prompt import Recall
from erllama_daemon.engine.resent import Resent
from erllama_daemon.errors import AdapterUnreadable, ParentUnknown, RequestInvalid
from erllama_daemon.frames import Generate


class Parents:
    """Looks up the tokens of one model's chains. Any one thread."""

    def __init__(self, store: Store, inspection: Inspection, vocabulary: Vocabulary, block_tokens: int) -> None:
        self._store = store
        self._inspection = inspection
        self._resent = Resent(store, vocabulary, block_tokens)

    def tokens(self, key: bytes) -> list[int]:
        """The tokens of the chain that ends in `key`.

        One made under other settings is this model's too, and is read again. Raises ParentUnknown for one of another
        model or somebody's private one, and if not all of it is in the cache.
        """
        wording = self._store.wording(key)
        if wording is None or not self._is_of_this_model(wording.root):
            raise ParentUnknown(key=key.hex())
        return unpack_tokens(wording.tokens)

    def recall(self, request: Generate) -> Recall | None:
        """Looks for what wrote the beginning of a request's messages; None if the request may not go on from that.

        A reproducible answer is that of a request which found nothing.
        """
        if request.reproducible or not request.cache:
            return None
        try:
            root = self._inspection.expected_root(request)
        except (AdapterUnreadable, RequestInvalid):  # named when the request is admitted
            return None
        return functools.partial(self._resent.find, root)

    def _is_of_this_model(self, root: bytes) -> bool:
        if root == self._inspection.attached_root:
            return True
        origin = self._store.origins().get(root)  # nothing is written down of a private one
        return origin is not None and origin.model_fingerprint == self._inspection.model_fingerprint
