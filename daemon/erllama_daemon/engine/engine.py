"""The engine: takes requests through lookup, restore, prefill, decode and save, one step at a time.

What makes a restored answer equal to a cold one, bit for bit, is here: prefill runs one decode per block at cuts
that depend on the prompt alone, a block is exported at the moment its sequence ends there, the block that ends a
prompt carries the logits of its last token, what is live lies in the buffer as if it had been restored, and a prompt
has the buffer to itself. `tests/e2e/test_promises.py` proves it on real models.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from erllama_cache.block import SaveReason
from erllama_cache.keys import BlockKind
from erllama_cache.policy import Policy
from erllama_cache.store import Store
from erllama_daemon.engine.adapters import AdapterShelf
from erllama_daemon.engine.answer_text import Said
from erllama_daemon.engine.backend import Backend, Buffer, ComputeFailed, Run
from erllama_daemon.engine.company import Company
from erllama_daemon.engine.confirmation import confirm_prompt
from erllama_daemon.engine.finished import FinishedRequests
from erllama_daemon.engine.generation import Generation, GenerationState
from erllama_daemon.engine.inspection import Inspection
from erllama_daemon.engine.lookup import Lookup
from erllama_daemon.engine.prompt import Prompt
from erllama_daemon.engine.roots import Roots
from erllama_daemon.engine.saving import BlockSaver, quarantine
from erllama_daemon.engine.solo import SoloBuffer
from erllama_daemon.engine.speaker import Speaker
from erllama_daemon.errors import DecodeFailed, NotCached, NotSupported


class Engine:
    """One model, its cache and its live sequences; all calls from one thread.

    Every prompt is read in the solo buffer, and its request goes on to generate there, until another prompt needs the
    buffer: then it moves to the company of those that generate together. A reproducible request never moves.
    `block_tokens` is the longest block of a prompt.
    """

    def __init__(
        self,
        backend: Backend,
        store: Store,
        shelf: AdapterShelf,
        *,
        model: str,
        block_tokens: int,
        parallel: int = 1,
        policy: Policy | None = None,
    ) -> None:
        facts = backend.facts
        policy = policy or Policy()
        self._backend = backend
        self._store = store
        self._shelf = shelf
        self._model = model
        self.block_tokens = block_tokens
        self._generated_block = min(block_tokens, policy.continued_interval)
        self._roots = Roots(facts, block_tokens, model=model, model_fingerprint=shelf.model_fingerprint)
        self._lookup = Lookup(store, block_tokens)
        self._saver = BlockSaver(backend, store, policy)
        self._company = Company(backend, parallel, self._saver.save_dropped)
        self._speaker = Speaker(backend.vocabulary, facts.context_size)
        self._solo = SoloBuffer(backend, store, self._saver.save_dropped) if facts.can_generate else None
        self._finished = FinishedRequests(self._company, self._solo)
        self.inspection = Inspection(backend, store, shelf, self._roots, self._solo, model)

    @property
    def live_sequences(self) -> int:
        """How many sequences have state in a buffer."""
        return self._company.live_sequences + (self._solo is not None and self._solo.is_live)

    @property
    def saved_blocks(self) -> int:
        """How many blocks the store has been given."""
        return self._saver.saved

    @property
    def occupant(self) -> Generation | None:
        """The request that has the solo buffer."""
        return self._solo.owner if self._solo is not None else None

    def make_way(self) -> bool:
        """Whether the solo buffer is free for another prompt, after moving who merely generates there if need be."""
        occupant = self.occupant
        if occupant is None:
            return True
        if occupant.state is not GenerationState.GENERATING or occupant.request.reproducible or occupant.must_stay:
            return False
        if not self._company.take(occupant):
            return False
        if self._solo is not None:
            self._solo.drop(occupant)
        return True

    def admit(self, generation: Generation) -> None:
        """Gives the solo buffer to a request that is prepared, and restores what the cache holds of its prompt.

        Raises NotCached if that is less than the request demands; what was restored stays live. Raises NotSupported,
        AdapterUnreadable, ContextExceeded and RequestInvalid.
        """
        if self._solo is None or generation.prompt is None:
            raise NotSupported(model=self._model, what="generate text")
        generation.clock.admitted = time.monotonic()
        generation.adapters = self._shelf.take(generation.request.adapters)
        self._roots.give(generation, generation.adapters)
        confirm_prompt(generation, self._store, self._backend)
        prompt = generation.prompt
        if generation.only_reads:
            self._lookup.leave_out_question(generation, prompt)
        if prompt.parent_key is not None and self._solo.ends_in(prompt.parent_key, generation):
            self._store.tally.add("hits_resume")
            beyond = self._lookup.read_before(generation, prompt, prompt.parent_key, self._solo.live_tokens)
            self._solo.go_on(generation, beyond)
        else:
            self._solo.take(generation, self._lookup.find(generation, prompt))
        generation.cached, generation.reused_blocks = generation.computed, len(generation.chain)
        self._hold(generation)
        self._check_demand(generation, prompt)
        self._lookup.note_reuse(generation)
        generation.ends = self._lookup.cuts(generation, prompt.breakpoints, generation.computed)
        generation.state = GenerationState.PREFILLING
        generation.clock.restored = time.monotonic()

    def prefill(self, generation: Generation) -> None:
        """Reads one block of the prompt; the request generates once all of it has been read.

        One that only reads is over then. Raises DecodeFailed.
        """
        if generation.ends:
            end = generation.ends.pop(0)
            tokens = end - generation.computed
            self._compute([generation], tokens)
            self._store.tally.add("tokens_prefilled", tokens)
            starts_answer = not generation.ends and not generation.only_reads
            self._cut(generation, BlockKind.PREFILL, SaveReason.COLD, with_logits=starts_answer)
        if not generation.ends:
            generation.clock.prefilled = time.monotonic()
            generation.state = GenerationState.GENERATING
            if generation.only_reads:
                generation.finish_reason = "length"

    def decode(self, generations: Sequence[Generation]) -> None:
        """Decodes the last token of each request, in one batch: they share a buffer and use the same adapters.

        Requests whose logits are there already are passed over. Raises DecodeFailed, and then none of them can go on.
        """
        behind = [generation for generation in generations if generation.computed < len(generation.tokens)]
        if behind:
            self._compute(behind, 1)

    def sample(self, generation: Generation) -> list[Said]:
        """Generates one token and gives the text it completes; see `Speaker`.

        The last token is sampled but not decoded: `finish` does that, once its text is on its way.
        Raises DecodeFailed.
        """
        if generation.computed - generation.chained == self._generated_block:
            self._cut(generation, generation.generated_kind, SaveReason.CONTINUED)
        return self._speaker.speak(generation)

    def finish(self, generation: Generation, reason: SaveReason = SaveReason.FINISH) -> None:
        """Decodes the last token and saves the last block, so that the finish key alone is enough to go on exactly.

        The answer is on the screen by then: a failure is noted, and costs only that its end is read again.
        """
        self._saver.keep_reused(generation)
        if generation.state is GenerationState.GENERATING:
            try:
                self.decode([generation])
                self._save_tail(generation, reason)
            except DecodeFailed as error:
                generation.note, generation.is_chain_cut = str(error), True
        else:
            del generation.tokens[generation.computed :]
        self.release(generation)
        generation.clock.finished = time.monotonic()

    def release(self, generation: Generation) -> None:
        """Ends a request, well or not. What it computed stays live; a second call does nothing."""
        if generation.state is GenerationState.DONE:
            return
        generation.state = GenerationState.DONE
        self._store.release(generation.held)
        self._company.leave(generation)
        if self._solo is not None:
            self._solo.leave(generation)
        if generation.sampler is not None:
            generation.sampler.close()
            generation.sampler = None
        if generation.adapters is not None:
            self._shelf.give_back(generation.adapters)

    def abandon(self, generation: Generation) -> None:
        """Ends a request that failed; its state goes, for it may be what failed."""
        self._forget(generation)
        self.release(generation)

    def save_copy(self, generation: Generation) -> None:
        """Saves what a running request has generated and is in no block yet; it goes on as if nothing had happened.

        Raises DecodeFailed.
        """
        try:
            self._saver.save_copy(generation)
        except ComputeFailed as error:
            raise DecodeFailed(reason=str(error)) from error

    def evict_finished(self) -> int:
        """Lets every finished sequence go, after saving what the cache does not hold of it; how many there were."""
        return self._finished.let_go()

    def forget_scope(self, scope: str) -> None:
        """Lets go of all that the private requests of one scope have left. They must have ended."""
        roots = self._roots.forget(scope)
        self._finished.forget(lambda generation: generation.root in roots)
        for root in roots:
            self._store.forget_root(root)

    def forget_deleted(self, keys: Collection[bytes] | None) -> int:
        """Lets every finished sequence go, unsaved, whose chain holds one of these blocks, or for None every one; how
        many there were.
        """
        return self._finished.forget(lambda done: keys is None or any(link.key in keys for link in done.chain))

    def close(self) -> None:
        """Frees the buffers and the model."""
        self._company.close()
        if self._solo is not None:
            self._solo.close()
        self._backend.close()

    def _save_tail(self, generation: Generation, reason: SaveReason) -> None:
        if generation.computed > generation.chained:
            self._cut(generation, generation.generated_kind, reason, with_logits=True)

    def _hold(self, generation: Generation) -> None:
        """Keeps the blocks that a request goes on from on disk until it ends: what it saves extends them."""
        generation.held = tuple(link.key for link in generation.chain)
        self._store.hold(generation.held)

    def _check_demand(self, generation: Generation, prompt: Prompt) -> None:
        demanded = self._lookup.demanded(generation, prompt)
        if generation.cached < demanded:
            cached, tokens = generation.cached, generation.prompt_tokens
            self.finish(generation)
            raise NotCached(cached=cached, demanded=demanded, tokens=tokens, model=self._model)

    def _compute(self, generations: Sequence[Generation], tokens: int) -> None:
        """Decodes the next `tokens` tokens of each request. Raises DecodeFailed."""
        runs = []
        for generation in generations:
            start = generation.computed
            runs.append(Run(generation.where.sequence, generation.tokens[start : start + tokens], start))
        started = time.perf_counter()
        try:
            rows = self._buffer_for(generations[0]).decode(runs)
        except ComputeFailed as error:
            for generation in generations:
                self._distrust(generation)
            raise DecodeFailed(reason=str(error)) from error
        cost_s = (time.perf_counter() - started) / len(generations)
        for generation, row in zip(generations, rows, strict=True):
            generation.cost_s += cost_s
            generation.keep_logits(row)
            generation.computed += tokens

    def _cut(self, generation: Generation, kind: BlockKind, reason: SaveReason, *, with_logits: bool = False) -> None:
        try:
            self._saver.cut(generation, kind, reason, with_logits=with_logits)
        except ComputeFailed as error:
            self._forget(generation)
            raise DecodeFailed(reason=str(error)) from error
        self._company.note_block(generation)

    def _buffer_for(self, generation: Generation) -> Buffer:
        buffer = generation.where.buffer
        buffer.use_adapters(generation.adapters.handles if generation.adapters is not None else ())
        return buffer

    def _distrust(self, generation: Generation) -> None:
        """After a failed decode; if what failed came right after a restore, what was restored is suspect too."""
        if generation is self.occupant and generation.chain and generation.cached == generation.computed:
            quarantine(self._store, generation, generation.chain[-1].key)
        self._forget(generation)

    def _forget(self, generation: Generation) -> None:
        self._company.drop(generation)
        if self._solo is not None:
            self._solo.drop(generation)
