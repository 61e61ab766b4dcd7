"""The engine: takes a request through lookup, restore, prefill, decode and save, one tick at a time.

What makes a restored answer equal to a cold one, bit for bit, is here: prefill runs one decode per block at cuts
that depend on the prompt alone, a block is exported at the moment its sequence ends there, the block that ends a
prompt carries the logits of its last token, what is live lies in the buffer as if it had been restored, and a request
has the buffer to itself. `tests/e2e/test_promises.py`
proves it on real models.
"""

from __future__ import annotations

import time

import numpy as np

from erllama_cache.block import Block, SaveReason
from erllama_cache.cuts import cuts
from erllama_cache.keys import BlockKind, RootRecord, pack_tokens, root_key
from erllama_cache.ref import BlockRef
from erllama_cache.store import Store
from erllama_daemon.backend import Backend, ComputeFailed, Logits
from erllama_daemon.errors import ContextExceeded, DecodeFailed
from erllama_daemon.generation import Generation, GenerationState
from erllama_daemon.prompt import build_prompt
from erllama_daemon.template import ChatTemplate

CACHE_FORMAT = 1
"""Part of every root: raised when blocks written before can no longer be used."""

SEQUENCE = 0
"""The one live sequence; the scheduler admits one request at a time."""


class Engine:
    """One model, its cache and its live sequence; all calls from one thread.

    A finished sequence stays live, so a conversation's next turn restores nothing. The live sequence is only ever
    reused whole: when a request does not begin with all of its chain, the buffer is cleared and filled from the cache.
    """

    def __init__(self, backend: Backend, store: Store, fingerprint: bytes, *, block_tokens: int) -> None:
        facts = backend.facts
        self._backend = backend
        self._store = store
        self._fingerprint = fingerprint.hex()
        self._block_tokens = block_tokens
        self._template = ChatTemplate(facts.chat_template, bos_text=facts.bos_text, eos_text=facts.eos_text)
        self._live: list[bytes] = []
        self._live_tokens = 0
        self._root = root_key(
            RootRecord(
                format_version=CACHE_FORMAT,
                fingerprint=self._fingerprint,
                type_k=facts.type_k,
                type_v=facts.type_v,
                flash_attention=facts.flash_attention,
                rope=facts.rope,
                block_tokens=block_tokens,
                build=facts.build,
                backend=f"{facts.name} {facts.device}",
                threads=facts.threads,
            )
        )

    @property
    def live_sequences(self) -> int:
        """How many sequences have state in the buffer."""
        return 1 if self._live_tokens else 0

    def admit(self, generation: Generation) -> None:
        """Builds the prompt and restores what the cache holds of it.

        Raises PromptEmpty, TemplateFailed and ContextExceeded before anything is touched.
        """
        generation.clock.admitted = time.monotonic()
        prompt = build_prompt(generation.request, self._backend, self._template, self._fingerprint)
        limit = self._backend.facts.context_size
        if len(prompt.tokens) >= limit:
            raise ContextExceeded(tokens=len(prompt.tokens), limit=limit)
        generation.root, generation.tokens = self._root, prompt.tokens
        generation.prompt_tokens, generation.note = len(prompt.tokens), prompt.note
        refs = self._look_up(generation, prompt.parent_key, prompt.parent_end, prompt.breakpoints)
        self._restore(generation, refs)
        generation.ends = self._cuts(generation, prompt.breakpoints, generation.computed)
        generation.state = GenerationState.PREFILLING
        generation.clock.restored = time.monotonic()

    def prefill(self, generation: Generation) -> bool:
        """Reads one block of the prompt; True when the whole prompt has been read. Raises DecodeFailed."""
        if generation.ends:
            end = generation.ends.pop(0)
            generation.logits = self._decode(generation, generation.tokens[generation.computed : end])
            is_last = not generation.ends
            self._save(generation, BlockKind.PREFILL, SaveReason.COLD, with_logits=is_last)
        if generation.ends:
            return False
        generation.clock.prefilled = time.monotonic()
        generation.state = GenerationState.GENERATING
        generation.sampler = self._backend.sampler(generation.request.sampling, generation.seed, generation.tokens)
        return True

    def step(self, generation: Generation) -> str:
        """Generates one token and gives the text it completes. Sets `finish_reason` when it was the last one.

        The last token is sampled but not decoded: `finish` does that, once its text is on its way.
        Raises DecodeFailed.
        """
        if generation.computed < len(generation.tokens):
            generation.logits = self._decode(generation, generation.tokens[-1:])
            if generation.computed - generation.chained == self._block_tokens:
                self._save(generation, BlockKind.GENERATED, SaveReason.CONTINUED, with_logits=False)
        token = self._sample(generation)
        generation.tokens.append(token)
        if self._backend.is_end(token):
            generation.finish_reason = "stop"
            return generation.add_text(b"", last=True)
        full = len(generation.tokens) >= self._backend.facts.context_size
        if full or generation.completion_tokens >= generation.request.max_tokens:
            generation.finish_reason = "length"
        return generation.add_text(self._backend.piece(token), last=generation.finish_reason is not None)

    def finish(self, generation: Generation) -> None:
        """Decodes the last token and saves the last block, so that the finish key alone is enough to go on exactly.

        The answer is on the screen by then: a failure is noted, and costs only that its end is read again.
        """
        # A chain is worth as much as its weakest block: what was reused has to be on disk as well.
        reused = [self._store.keep(key) for key in generation.chain[: generation.reused_blocks]]
        if generation.state is GenerationState.GENERATING:
            try:
                self._finish_chain(generation)
            except DecodeFailed as error:
                generation.note, generation.is_chain_cut = str(error), True
        else:
            del generation.tokens[generation.computed :]
        generation.saves = [*reused, *generation.saves]
        self.release(generation)
        generation.clock.finished = time.monotonic()

    def forget_live(self) -> None:
        """Empties the buffer: what lies in it is of no use or not to be trusted. The cache fills it again."""
        self._backend.clear()
        self._live, self._live_tokens = [], 0

    def release(self, generation: Generation) -> None:
        """Ends a request, well or not. What it computed stays live; a second call does nothing."""
        generation.state = GenerationState.DONE
        if generation.sampler is not None:
            generation.sampler.close()
            generation.sampler = None

    def _finish_chain(self, generation: Generation) -> None:
        if generation.computed < len(generation.tokens):
            generation.logits = self._decode(generation, generation.tokens[generation.computed :])
        if generation.computed > generation.chained:
            self._save(generation, BlockKind.GENERATED, SaveReason.FINISH, with_logits=True)

    def _look_up(
        self, generation: Generation, parent_key: bytes | None, parent_end: int, breakpoints: tuple[int, ...]
    ) -> list[BlockRef]:
        tokens, tally = generation.tokens, self._store.tally
        if parent_end:
            resumed = self._store.resume(self._root, parent_key, tokens) if parent_key is not None else None
            if resumed is not None:
                tally.add("hits_resume")
                return self._usable(generation, resumed)
            generation.note = "the saved state of the conversation is gone from the cache"
            refs = self._usable(generation, self._store.longest(self._root, tokens))
        else:
            # Only blocks cut where a cold run would cut: any other would change the bits of the answer.
            refs = self._usable(
                generation, self._store.chain(self._root, tokens, self._cuts(generation, breakpoints, 0))
            )
        if not refs:
            tally.add("misses")
        elif refs[-1].end == len(tokens):
            tally.add("hits_exact")
        else:
            tally.add("hits_longest_prefix")
        return refs

    def _usable(self, generation: Generation, refs: tuple[BlockRef, ...]) -> list[BlockRef]:
        """The chain without a last block that ends the prompt but has no logits to sample the first token from."""
        usable = list(refs)
        if usable and usable[-1].end == len(generation.tokens) and not usable[-1].has_logits:
            usable.pop()
        return usable

    def _cuts(self, generation: Generation, breakpoints: tuple[int, ...], start: int) -> list[int]:
        return cuts(len(generation.tokens), breakpoints, block_tokens=self._block_tokens, start=start)

    def _restore(self, generation: Generation, refs: list[BlockRef]) -> None:
        keys = [ref.key for ref in refs]
        ends_prompt = bool(refs) and refs[-1].end == generation.prompt_tokens
        if self._live and keys[: len(self._live)] == self._live and not (ends_prompt and keys == self._live):
            generation.chain, generation.computed = list(self._live), self._live_tokens
        else:  # also when all of the prompt is live: the logits to sample from are in its last block
            self.forget_live()
        for ref in refs[len(generation.chain) :]:
            block = self._store.load(ref)
            if block is None or not self._put_back(generation, ref, block):
                generation.note = "a block of the cache was damaged or gone"
                break
        self._store.touch(generation.chain)
        generation.reused_blocks = len(generation.chain)
        generation.chained = generation.cached = generation.computed
        if generation.computed == 0:
            generation.hit = "cold"
        elif generation.computed == generation.prompt_tokens and generation.logits is not None:
            generation.hit = "exact"
        else:
            generation.hit = "partial"

    def _put_back(self, generation: Generation, ref: BlockRef, block: Block) -> bool:
        if ref.end == generation.prompt_tokens and not block.logits:
            return False  # there would be nothing to sample the first token from
        try:
            self._backend.restore(SEQUENCE, block.payload, ref.start, ref.end)
        except ComputeFailed:
            self._store.quarantine(ref.key)
            self._rebuild(generation)
            return False
        generation.chain.append(ref.key)
        generation.computed = ref.end
        self._live, self._live_tokens = list(generation.chain), generation.computed
        generation.logits = np.frombuffer(block.logits, dtype="<f4") if block.logits else None
        return True

    def _rebuild(self, generation: Generation) -> None:
        """After a refused state nothing in the buffer is trusted; the request goes on cold."""
        self.forget_live()
        generation.chain, generation.computed, generation.logits = [], 0, None

    def _decode(self, generation: Generation, tokens: list[int]) -> Logits:
        try:
            logits = self._backend.decode(SEQUENCE, tokens, generation.computed)
        except ComputeFailed as error:
            self.forget_live()
            if generation.cached == generation.computed and generation.chain:
                self._store.quarantine(generation.chain[-1])
            raise DecodeFailed(reason=str(error)) from error
        generation.computed += len(tokens)
        # Until the next block is exported, the live state is ahead of its chain and of no use to another request.
        self._live, self._live_tokens = [], generation.computed
        return logits

    def _sample(self, generation: Generation) -> int:
        if generation.logits is None or generation.sampler is None:
            raise DecodeFailed(reason="there are no logits to sample from")
        if generation.digest is not None:
            generation.digest.update(generation.logits.data)
        token = generation.sampler.sample(generation.logits)
        if generation.clock.first_token is None:
            generation.clock.first_token = time.monotonic()
        return token

    def _save(self, generation: Generation, kind: BlockKind, reason: SaveReason, *, with_logits: bool) -> None:
        started = time.perf_counter_ns()
        start, end = generation.chained, generation.computed
        payload = self._export(start, end)
        logits = b""
        if with_logits and generation.logits is not None:
            logits = generation.logits.astype("<f4", copy=False).tobytes()
        block = Block(
            root=generation.root,
            parent=generation.tail_key,
            kind=kind,
            start=start,
            tokens=pack_tokens(generation.tokens[start:end]),
            reason=reason,
            logits=logits,
            payload=payload,
            created=time.time(),
        )
        self._store.tally.add("pack_total_ns", time.perf_counter_ns() - started)
        generation.saves.append(self._store.save(block))
        generation.chain.append(block.key)
        generation.chained = end
        self._live, self._live_tokens = list(generation.chain), end

    def _export(self, start: int, end: int) -> memoryview:
        try:
            payload = self._backend.export(SEQUENCE, start, end)
            self._backend.settle(SEQUENCE, payload, start, end)
        except ComputeFailed as error:
            self.forget_live()
            raise DecodeFailed(reason=str(error)) from error
        return payload
