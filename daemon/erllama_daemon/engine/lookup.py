"""What the cache holds of a prompt, in the order in which it is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from erllama_cache.cuts import cuts
from erllama_cache.keys import BlockKind
from erllama_cache.ref import BlockRef
from erllama_cache.store import Store
from erllama_daemon.engine.generation import Generation
from erllama_daemon.engine.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Found:
    """The chain that a request may begin with, the counter that it is one more of, and why it is not longer."""

    refs: list[BlockRef]
    counter: str
    note: str | None = None


class Lookup:
    """Finds chains and counts hits."""

    def __init__(self, store: Store, block_tokens: int) -> None:
        self._store = store
        self._block_tokens = block_tokens

    def find(self, generation: Generation, prompt: Prompt) -> list[BlockRef]:
        """The stored chain that a request may begin with, counted as a hit; none if it leaves the cache alone."""
        if not generation.request.cache:
            return []
        found = self.search(generation, prompt)
        self._store.tally.add(found.counter)
        generation.note = found.note or generation.note
        return found.refs

    def search(self, generation: Generation, prompt: Prompt) -> Found:
        """As `find`, but counts and changes nothing.

        A conversation resumes its parent's chain, of whatever kind its blocks are. Any other prompt, and what comes
        after that chain, takes only prefilled blocks, cut where a cold run would cut: others would change the bits of
        the answer.
        """
        note = None
        if prompt.parent_key is not None or prompt.parent_end:
            resumed, note = self._resumed(generation, prompt)
            if resumed is not None:
                last, end = (resumed[-1].key, resumed[-1].end) if resumed else (generation.root, 0)
                refs = [*resumed, *self.read_before(generation, prompt, last, end)]
                return Found(self._usable(generation, refs), "hits_resume")
        if prompt.parent_end and not generation.request.reproducible:
            refs = self._usable(generation, self._store.longest(generation.root, generation.tokens))
        else:
            ends = self.cuts(generation, prompt.breakpoints, 0)
            refs = self._usable(generation, self._store.chain(generation.root, generation.tokens, ends))
        return Found(refs, _counter(generation, refs), note)

    def read_before(self, generation: Generation, prompt: Prompt, parent: bytes, start: int) -> list[BlockRef]:
        """What was read once of a prompt after the chain that ends in `parent`, before the token `start`.

        That is a question which is asked again, or another one about the same document.
        """
        if not generation.request.cache:
            return []
        ends = self.cuts(generation, prompt.breakpoints, start)
        return self._usable(generation, self._store.chain(parent, generation.tokens, ends, start=start))

    def cuts(self, generation: Generation, breakpoints: tuple[int, ...], start: int) -> list[int]:
        """Where the blocks of a prompt end, from token `start` on."""
        return cuts(generation.prompt_tokens, breakpoints, block_tokens=self._block_tokens, start=start)

    def note_reuse(self, generation: Generation) -> None:
        """Counts what was put back, as a hit of the request and as a use of its blocks."""
        keys = [link.key for link in generation.chain]
        if not generation.is_private:
            self._store.touch(keys)
        self._store.tally.add("tokens_reused", generation.cached)
        self._store.tally.add("saved_total_ns", round(1e9 * sum(link.cost_s for link in generation.chain)))
        if generation.cached == 0:
            generation.hit = "cold"
        elif generation.cached == generation.prompt_tokens and generation.logits is not None:
            generation.hit = "exact"
        else:
            generation.hit = "partial"

    def demanded(self, generation: Generation, prompt: Prompt) -> int:
        """How many tokens the cache must have held for a request to go on.

        What stands before the question counts as far as whole blocks end there; if nothing does, all of the prompt.
        """
        required = generation.request.require_cached
        if required != "prefix":
            return required or 0
        return self._question(generation, prompt) or prompt.parent_end or generation.prompt_tokens

    def leave_out_question(self, generation: Generation, prompt: Prompt) -> None:
        """Shortens the prompt of a request that only reads to what another one, with another question, begins with."""
        end = self._question(generation, prompt) or prompt.parent_end
        if prompt.breakpoints:
            del generation.tokens[end:]
            generation.prompt_tokens = end

    def _question(self, generation: Generation, prompt: Prompt) -> int:
        """Where the last block ends that stands before the question; 0 if none does."""
        question = max(prompt.breakpoints, default=0)
        ends = [end for end in self.cuts(generation, prompt.breakpoints, prompt.parent_end) if end <= question]
        return ends[-1] if ends else 0

    def _resumed(self, generation: Generation, prompt: Prompt) -> tuple[tuple[BlockRef, ...], None] | tuple[None, str]:
        """The chain of the parent, if it is whole and may be used, or else why not."""
        resumed = None
        if prompt.parent_key is not None:
            resumed = self._store.resume(generation.root, prompt.parent_key, generation.tokens)
        if resumed is None:
            return None, self._why_lost(generation.root, prompt.parent_key)
        if generation.request.reproducible and any(ref.kind is BlockKind.TOGETHER for ref in resumed):
            return None, "the conversation was generated beside others, which is not reproducible"
        return resumed, None

    def _why_lost(self, root: bytes, parent_key: bytes | None) -> str:
        last = self._store.passage(parent_key) if parent_key is not None else None
        if last is not None and last.root != root:
            return "the saved state was made with another llama.cpp or other settings"
        return "the saved state of the conversation is gone from the cache"

    def _usable(self, generation: Generation, refs: Sequence[BlockRef]) -> list[BlockRef]:
        """The chain without a last block that ends the prompt but has no logits to sample the first token from."""
        usable = list(refs)
        if usable and generation.lacks_logits(usable[-1].end, has_logits=usable[-1].has_logits):
            usable.pop()
        return usable


def _counter(generation: Generation, refs: list[BlockRef]) -> str:
    if not refs:
        return "misses"
    return "hits_exact" if refs[-1].end == generation.prompt_tokens else "hits_longest_prefix"
