"""The KV buffer in which one request is alone, so that nothing but its own tokens decides a bit of what is computed.

Every prompt is read here. Who generates here too gives the same bits whatever else the worker does;
`tests/e2e/test_promises.py` proves it on real models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from erllama_cache.keys import BlockKind
from erllama_cache.ref import BlockRef
from erllama_cache.store import Store
from erllama_daemon.engine.backend import Backend, Buffer, ComputeFailed
from erllama_daemon.engine.generation import ChainLink, Generation, Place
from erllama_daemon.engine.saving import quarantine

SEQUENCE = 0


class SoloBuffer:
    """One sequence. A finished one stays, and is reused whole by a request whose chain begins with all of it.

    `on_drop` is called before the state of a finished request is let go of.
    """

    def __init__(self, backend: Backend, store: Store, on_drop: Callable[[Generation], None]) -> None:
        self._buffer = backend.new_buffer(1, prefills=True)
        self._store = store
        self._on_drop = on_drop
        self.owner: Generation | None = None
        self.finished: Generation | None = None

    @property
    def is_live(self) -> bool:
        """Whether the buffer holds the state of a request, running or finished."""
        return self.owner is not None or self.finished is not None

    def ends_in(self, last: bytes, generation: Generation) -> bool:
        """Whether what is live and finished ends in the block `last`, and the request can go on from there."""
        live, tokens = self.finished, generation.tokens
        if live is None or live.root != generation.root or live.tail_key != last:
            return False
        if generation.request.reproducible and any(link.kind is BlockKind.TOGETHER for link in live.chain):
            return False
        can_begin = len(tokens) > live.computed or live.logits is not None
        return can_begin and live.tokens[: live.computed] == tokens[: live.computed]

    def live_chain(self, generation: Generation) -> list[ChainLink]:
        """The chain that is live and finished, if the request could begin with all of it."""
        live, tokens = self.finished, generation.tokens
        if live is None or live.root != generation.root or live.tokens[: live.computed] != tokens[: live.computed]:
            return []
        may_resume = generation.prompt is None or live.tail_key != generation.prompt.parent_key
        return list(live.chain) if may_resume or self.ends_in(live.tail_key, generation) else []

    @property
    def live_tokens(self) -> int:
        """How many tokens are live and finished."""
        return self.finished.computed if self.finished is not None else 0

    def go_on(self, generation: Generation, beyond: Sequence[BlockRef] = ()) -> None:
        """Gives the buffer to a request, which extends all that is live, and puts back what the cache holds beyond."""
        live, self.finished = self.finished, None
        if live is not None:
            generation.chain, generation.computed, generation.logits = list(live.chain), live.computed, live.logits
            generation.tier = "live"
        self.owner, generation.place = generation, Place(self._buffer, SEQUENCE)
        self._put_back(generation, beyond)

    def lend(self) -> Buffer:
        """The buffer, empty, for work that is no request's: to be left empty too. Nobody may own it."""
        self.drop_finished()
        return self._buffer

    def take(self, generation: Generation, refs: Sequence[BlockRef]) -> None:
        """Gives the buffer to a request, and puts back what the cache holds of its prompt.

        `generation.chain`, `computed` and `logits` tell how far that went; a block that is damaged or refused is
        noted, and what follows it is computed.
        """
        live = [link.key for link in self.finished.chain] if self.finished is not None else []
        if live and [ref.key for ref in refs[: len(live)]] == live:
            self.go_on(generation, refs[len(live) :])
        else:
            self.drop_finished()
            self.owner, generation.place = generation, Place(self._buffer, SEQUENCE)
            self._put_back(generation, refs)

    def leave(self, generation: Generation) -> None:
        """Ends a request's hold. Its state stays live if it is in blocks to its very end."""
        if self.owner is not generation:
            return
        self.owner = None
        if generation.can_stay_live:
            self.finished = generation
        else:
            self._buffer.clear()

    def drop(self, generation: Generation) -> None:
        """Lets go of a running request's state: it has moved, or is not to be trusted."""
        if self.owner is generation:
            self.owner = None
            self._buffer.clear()
            if generation.place is not None and generation.place.buffer is self._buffer:
                generation.place = None

    def drop_finished(self) -> None:
        """Lets go of a finished request's state."""
        if self.finished is not None:
            self._on_drop(self.finished)
            self.finished = None
        self._buffer.clear()

    def close(self) -> None:
        """Frees the buffer."""
        self._buffer.close()

    def _put_back(self, generation: Generation, refs: Sequence[BlockRef]) -> None:
        if not all(self._put_back_block(generation, ref) for ref in refs):
            generation.note = "a block of the cache was damaged or gone"

    def _put_back_block(self, generation: Generation, ref: BlockRef) -> bool:
        block = self._store.load(ref)
        if block is None or generation.lacks_logits(ref.end, has_logits=block.has_logits):
            return False
        try:
            self._buffer.restore(SEQUENCE, block.payload, ref.start, ref.end)
        except ComputeFailed:
            # After a refused state nothing in the buffer is trusted; the request goes on cold.
            quarantine(self._store, generation, ref.key)
            self._buffer.clear()
            generation.chain, generation.computed, generation.logits = [], 0, None
            return False
        generation.chain.append(ChainLink(ref.key, ref.end, ref.kind, ref.cost_s))
        generation.computed = ref.end
        generation.tier = "disk" if generation.tier == "disk" else ref.tier
        generation.logits = np.frombuffer(block.logits, dtype="<f4") if block.logits else None
        return True
