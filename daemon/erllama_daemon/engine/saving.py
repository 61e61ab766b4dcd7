"""How what a request has computed becomes blocks in the cache."""

from __future__ import annotations

import time
from concurrent.futures import Future

from erllama_cache.block import Block, SaveReason
from erllama_cache.keys import BlockKind, pack_tokens
from erllama_cache.policy import Policy
from erllama_cache.store import Store
from erllama_cache.writer import SaveOutcome
from erllama_daemon.engine.backend import Backend, ComputeFailed
from erllama_daemon.engine.generation import ChainLink, Generation, GenerationState, is_dropped
from erllama_daemon.engine.label import label


class BlockSaver:
    """Exports blocks and hands them to the store, as far as the policy and their request want them.

    Private ones stay in memory, whatever they are saved for. `saved` counts the blocks that the store was given.
    Engine's thread only.
    """

    def __init__(self, backend: Backend, store: Store, policy: Policy) -> None:
        self._facts = backend.facts
        self._vocabulary = backend.vocabulary
        self._store = store
        self._policy = policy
        self.saved = 0

    def cut(self, generation: Generation, kind: BlockKind, reason: SaveReason, *, with_logits: bool = False) -> None:
        """Ends a block where the request's sequence ends now, and saves it. Raises ComputeFailed.

        What a request has alone in its buffer is left lying as if it had been restored.
        """
        self.keep_reused(generation)
        start, end = generation.chained, generation.computed
        payload = self._export(generation, start, end)
        if not generation.has_company:
            generation.where.buffer.settle(generation.where.sequence, payload, start, end)
        cost_s, generation.cost_s = generation.cost_s, 0.0
        block = self._block(generation, kind, reason, start, end, payload, with_logits=with_logits, cost_s=cost_s)
        generation.chain.append(ChainLink(block.key, end, kind, cost_s))
        if not self._is_wanted(generation, reason):
            generation.saves.append(_settled(SaveOutcome.DROPPED))
        elif kind is BlockKind.TOGETHER and self._store.find(block.key) is not None:
            generation.is_shadowed = True
            generation.saves.append(self._keep(generation, block.key))
        else:
            generation.saves.append(self._save(generation, block))

    def save_copy(self, generation: Generation) -> None:
        """Saves the end of a running answer that is in no block yet, and leaves the request as it is.

        Raises ComputeFailed.
        """
        start, end, reason = generation.chained, generation.computed, SaveReason.EVICT
        is_generating = generation.state is GenerationState.GENERATING
        if end > start and is_generating and self._is_wanted(generation, reason):
            self.keep_reused(generation)
            payload = self._export(generation, start, end)
            kind, cost_s = generation.generated_kind, generation.cost_s
            block = self._block(generation, kind, reason, start, end, payload, with_logits=True, cost_s=cost_s)
            self._save(generation, block)

    def keep_reused(self, generation: Generation) -> None:
        """A chain is worth as much as its weakest block: what was reused has to be on disk as well.

        That is seen to once, before the first block that extends it is saved: none is stored without its parent.
        """
        if not generation.is_reuse_kept:
            generation.is_reuse_kept = True
            reused = generation.chain[: generation.reused_blocks]
            generation.saves = [self._keep(generation, link.key) for link in reused]

    def save_dropped(self, generation: Generation) -> None:
        """Saves those blocks of a finished request, whose state is live, that the cache did not take."""
        for position, save in enumerate(generation.saves):
            link = generation.chain[position]
            if not is_dropped(save) or not self._is_worth_keeping(generation, link):
                continue
            kept = self._keep(generation, link.key)  # it may still be in RAM, with its logits
            if is_dropped(kept):
                self._save_again(generation, position)
            else:
                generation.saves[position] = kept
                self.saved += 1

    def _save_again(self, generation: Generation, position: int) -> None:
        link = generation.chain[position]
        is_last = link.end == generation.computed
        if not is_last and not self._facts.shares_prefixes:
            return  # the state that it ended with is gone
        start = generation.chain[position - 1].end if position else 0
        try:
            payload = self._export(generation, start, link.end)
        except ComputeFailed:
            return
        block = self._block(
            generation,
            link.kind,
            SaveReason.EVICT,
            start,
            link.end,
            payload,
            with_logits=is_last,
            cost_s=link.cost_s,
            at=position,
        )
        generation.saves[position] = self._save(generation, block)

    def _save(self, generation: Generation, block: Block) -> Future[SaveOutcome]:
        self.saved += 1
        if generation.origin is not None:
            self._store.note_origin(generation.root, generation.origin)
        is_last_chance = block.reason in (SaveReason.EVICT, SaveReason.SHUTDOWN)
        return self._store.save(block, wait=is_last_chance, to_disk=not generation.is_private)

    def _keep(self, generation: Generation, key: bytes) -> Future[SaveOutcome]:
        """Sees to it that a block that is somewhere is on disk too, unless it is private."""
        if not generation.is_private:
            return self._store.keep(key)
        return _settled(SaveOutcome.PRESENT if self._store.find(key) else SaveOutcome.DROPPED)

    def _is_wanted(self, generation: Generation, reason: SaveReason) -> bool:
        match reason:
            case _ if not generation.request.cache:
                return False
            case SaveReason.COLD:
                return self._policy.saves_prompt(generation.prompt_tokens, generation.chained)
            case SaveReason.CONTINUED | SaveReason.FINISH:
                return self._policy.saves_finish(generation.computed)
            case _:
                return True

    def _is_worth_keeping(self, generation: Generation, link: ChainLink) -> bool:
        """Whether the policy wants a block of a finished chain: what was too short at first may have grown since."""
        if link.kind is BlockKind.PREFILL:
            return self._policy.saves_prompt(generation.prompt_tokens, link.end)
        return self._policy.saves_finish(generation.computed)

    def _export(self, generation: Generation, start: int, end: int) -> memoryview:
        started = time.perf_counter_ns()
        payload = generation.where.buffer.export(generation.where.sequence, start, end)
        self._store.tally.add("pack_total_ns", time.perf_counter_ns() - started)
        return payload

    def _block(
        self,
        generation: Generation,
        kind: BlockKind,
        reason: SaveReason,
        start: int,
        end: int,
        payload: memoryview,
        *,
        with_logits: bool,
        cost_s: float,
        at: int | None = None,
    ) -> Block:
        before = generation.chain[: len(generation.chain) if at is None else at]
        logits = generation.logits if with_logits else None
        tokens = generation.tokens[start:end]
        return Block(
            root=generation.root,
            parent=before[-1].key if before else generation.root,
            kind=kind,
            start=start,
            tokens=pack_tokens(tokens),
            reason=reason,
            logits=logits.astype("<f4", copy=False).tobytes() if logits is not None else b"",
            payload=payload,
            created=time.time(),
            label=label(self._vocabulary, tokens),
            cost_s=cost_s,
        )


def quarantine(store: Store, generation: Generation, key: bytes) -> None:
    """Takes a block that did not work out of use. Of a private one, not even the key is written down."""
    if generation.is_private:
        store.forget([key])
    else:
        store.quarantine(key)


def _settled(outcome: SaveOutcome) -> Future[SaveOutcome]:
    save: Future[SaveOutcome] = Future()
    save.set_result(outcome)
    return save
