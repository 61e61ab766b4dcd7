"""How what a request has computed becomes blocks in the cache."""

from __future__ import annotations

import time
from concurrent.futures import Future

from erllama_cache.block import Block, SaveReason
from erllama_cache.keys import BlockKind, pack_tokens
from erllama_cache.policy import Policy
from erllama_cache.store import Store
from erllama_cache.writer import SaveOutcome
from erllama_daemon.engine.backend import BackendFacts, ComputeFailed
from erllama_daemon.engine.generation import ChainLink, Generation, GenerationState, is_dropped


class BlockSaver:
    """Exports blocks and hands them to the store, as far as the policy wants them. Engine's thread only.

    `saved` counts the blocks that the store was given.
    """

    def __init__(self, facts: BackendFacts, store: Store, policy: Policy) -> None:
        self._facts = facts
        self._store = store
        self._policy = policy
        self.saved = 0

    def cut(self, generation: Generation, kind: BlockKind, reason: SaveReason, *, with_logits: bool = False) -> None:
        """Ends a block where the request's sequence ends now, and saves it. Raises ComputeFailed.

        What a request has alone in its buffer is left lying as if it had been restored.
        """
        start, end = generation.chained, generation.computed
        payload = self._export(generation, start, end)
        if not generation.has_company:
            generation.where.buffer.settle(generation.where.sequence, payload, start, end)
        block = self._block(generation, kind, reason, start, end, payload, with_logits=with_logits)
        generation.chain.append(ChainLink(block.key, end, kind))
        if not self._is_wanted(generation, reason):
            generation.unwanted.add(block.key)
            generation.saves.append(_dropped())
        elif kind is BlockKind.TOGETHER and self._store.find(block.key) is not None:
            generation.is_shadowed = True
            generation.saves.append(self._store.keep(block.key))
        else:
            generation.saves.append(self._save(block))

    def save_copy(self, generation: Generation) -> None:
        """Saves the end of a running answer that is in no block yet, and leaves the request as it is.

        Raises ComputeFailed.
        """
        start, end = generation.chained, generation.computed
        if end > start and generation.state is GenerationState.GENERATING:
            payload = self._export(generation, start, end)
            kind = generation.generated_kind
            self._save(self._block(generation, kind, SaveReason.EVICT, start, end, payload, with_logits=True))

    def keep_reused(self, generation: Generation) -> None:
        """A chain is worth as much as its weakest block: what was reused has to be on disk as well."""
        reused = [self._store.keep(link.key) for link in generation.chain[: generation.reused_blocks]]
        generation.saves = [*reused, *generation.saves]

    def save_dropped(self, generation: Generation) -> None:
        """Saves those blocks of a finished request, whose state is live, that the cache did not take."""
        for position, save in enumerate(generation.saves):
            key = generation.chain[position].key
            if not is_dropped(save) or key in generation.unwanted:
                continue
            kept = self._store.keep(key)  # it may still be in RAM, with its logits
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
            generation, link.kind, SaveReason.EVICT, start, link.end, payload, with_logits=is_last, at=position
        )
        generation.saves[position] = self._save(block)

    def _save(self, block: Block) -> Future[SaveOutcome]:
        self.saved += 1
        return self._store.save(block, wait=block.reason in (SaveReason.EVICT, SaveReason.SHUTDOWN))

    def _is_wanted(self, generation: Generation, reason: SaveReason) -> bool:
        match reason:
            case SaveReason.COLD:
                return self._policy.saves_prompt(generation.prompt_tokens, generation.chained)
            case SaveReason.CONTINUED | SaveReason.FINISH:
                return self._policy.saves_finish(generation.computed)
            case _:
                return True

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
        at: int | None = None,
    ) -> Block:
        before = generation.chain[: len(generation.chain) if at is None else at]
        logits = generation.logits if with_logits else None
        return Block(
            root=generation.root,
            parent=before[-1].key if before else generation.root,
            kind=kind,
            start=start,
            tokens=pack_tokens(generation.tokens[start:end]),
            reason=reason,
            logits=logits.astype("<f4", copy=False).tobytes() if logits is not None else b"",
            payload=payload,
            created=time.time(),
        )


def _dropped() -> Future[SaveOutcome]:
    outcome: Future[SaveOutcome] = Future()
    outcome.set_result(SaveOutcome.DROPPED)
    return outcome
