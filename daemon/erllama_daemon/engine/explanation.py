"""What a request would find in the cache, block by block, and why not more."""

from __future__ import annotations

from collections.abc import Sequence

from erllama_cache.keys import BlockKind
from erllama_cache.misses import CutElsewhere, Departed, Diverged, Elsewhere, Generated, Wanted, why_missing
from erllama_cache.policy import Policy
from erllama_cache.ref import BlockRef
from erllama_cache.store import Store
from erllama_daemon.engine.backend import Vocabulary
from erllama_daemon.engine.generation import ChainLink, Generation
from erllama_daemon.engine.lookup import Lookup
from erllama_daemon.engine.prompt import Prompt
from erllama_daemon.messages import BlockPlace, BlockSource, Divergence, ExplainedBlock, Explanation, Miss, MissReason

EXCERPT_TOKENS = 12
"""How much of a text is shown before a divergence, and how much after it."""

_SOURCES: dict[BlockKind, BlockSource] = {
    BlockKind.PREFILL: "prompt",
    BlockKind.GENERATED: "generated",
    BlockKind.TOGETHER: "together",
}


class Explainer:
    """Looks as a request would, but counts nothing, saves nothing and computes nothing. Any one thread.

    `policy` is the one that decides what the model's requests save.
    """

    def __init__(self, store: Store, vocabulary: Vocabulary, model: str, block_tokens: int, policy: Policy) -> None:
        self._store = store
        self._vocabulary = vocabulary
        self._model = model
        self._lookup = Lookup(store, block_tokens)
        self._policy = policy

    def explain(self, generation: Generation, live: Sequence[ChainLink]) -> Explanation:
        """What a request finds that the engine has had a look at; `live` is the chain that it would find live."""
        prompt = generation.prompt or Prompt([])
        found, note = self._chain(generation, prompt, live)
        missing = self._missing(generation, prompt, found[-1].start + found[-1].tokens if found else 0)
        tokens_at = {
            place: sum(block.tokens for block in found if block.where == place) for place in ("live", "ram", "disk")
        }
        return Explanation(
            model=self._model,
            root=generation.root.hex(),
            prompt_tokens=generation.prompt_tokens,
            reused_tokens=sum(tokens_at.values()),
            live_tokens=tokens_at["live"],
            ram_tokens=tokens_at["ram"],
            disk_tokens=tokens_at["disk"],
            blocks=[*found, *missing],
            miss=self._miss(generation, prompt, found, missing[0]) if missing else None,
            adapters=list(generation.adapters.adapters) if generation.adapters is not None else [],
            note=prompt.note or note,
        )

    def _chain(
        self, generation: Generation, prompt: Prompt, live: Sequence[ChainLink]
    ) -> tuple[list[ExplainedBlock], str | None]:
        """The blocks that would be reused, and why there are no more."""
        if live and live[-1].key == prompt.parent_key:
            beyond = self._lookup.read_before(generation, prompt, live[-1].key, live[-1].end)
            return [*_live_blocks(live), *map(_stored_block, beyond)], None
        found = self._lookup.search(generation, prompt)
        is_live = [ref.key for ref in found.refs[: len(live)]] == [link.key for link in live]
        beginning = list(live) if is_live else []
        return [*_live_blocks(beginning), *map(_stored_block, found.refs[len(beginning) :])], found.note

    def _missing(self, generation: Generation, prompt: Prompt, start: int) -> list[ExplainedBlock]:
        blocks = []
        for end in self._lookup.cuts(generation, prompt.breakpoints, start):
            blocks.append(ExplainedBlock(start=start, tokens=end - start, where="missing"))
            start = end
        return blocks

    def _miss(
        self, generation: Generation, prompt: Prompt, found: Sequence[ExplainedBlock], first: ExplainedBlock
    ) -> Miss:
        parent = bytes.fromhex(found[-1].key) if found and found[-1].key else generation.root
        wanted = Wanted(
            root=generation.root,
            origin=generation.origin,
            parent=parent,
            tokens=generation.tokens,
            start=first.start,
            end=first.start + first.tokens,
            last=prompt.parent_key,
        )
        token = first.start
        if self._store.find(wanted.key) is not None:  # and yet it cannot be used
            return Miss(reason="no_logits", token=token, end=wanted.end)
        unwanted = self._unwanted(generation, wanted.end)
        match why_missing(self._store, wanted):
            case Departed(at, why):
                return Miss(reason="evicted", token=token, departure=why, departed_at=at)
            case Generated(end):
                return Miss(reason="generated", token=token, end=end)
            case Elsewhere(end, differences):
                reason = _other({difference.name for difference in differences})
                return Miss(reason=reason, token=token, end=end, differences=list(differences))
            case Diverged() | CutElsewhere() | None if unwanted is not None:
                return Miss(reason="never_saved", token=token, detail=unwanted)
            case CutElsewhere(end):
                return Miss(reason="cut_elsewhere", token=token, end=end)
            case Diverged(at, there):
                return Miss(reason="diverged", token=token, divergence=self._divergence(generation.tokens, at, there))
            case _:
                return Miss(reason="never_saved", token=token)

    def _unwanted(self, generation: Generation, end: int) -> str | None:
        """Why the policy keeps a block of this prompt that ends there out of the cache; None if it does not."""
        policy, tokens = self._policy, generation.prompt_tokens
        if policy.saves_prompt(tokens, end):
            return None
        if tokens < policy.cold_min_tokens:
            return f"the policy saves no prompt of fewer than {policy.cold_min_tokens:,} tokens (cold_min_tokens)"
        return f"the policy saves nothing beyond {policy.cold_max_tokens:,} tokens (cold_max_tokens)"

    def _divergence(self, here: Sequence[int], at: int, there: Sequence[int]) -> Divergence:
        return Divergence(
            token=at,
            before=self._text(here[max(0, at - EXCERPT_TOKENS) : at]),
            here=self._text(here[at : at + EXCERPT_TOKENS]),
            there=self._text(there[:EXCERPT_TOKENS]),
        )

    def _text(self, tokens: Sequence[int]) -> str:
        vocabulary = self._vocabulary
        pieces = (vocabulary.piece(token) or vocabulary.control_text(token).encode() for token in tokens)
        return b"".join(pieces).decode("utf-8", "replace")


def _live_blocks(live: Sequence[ChainLink]) -> list[ExplainedBlock]:
    starts = [0, *(link.end for link in live)]
    return [
        _block(start, link.end - start, "live", link.kind, link.key) for start, link in zip(starts, live, strict=False)
    ]


def _stored_block(ref: BlockRef) -> ExplainedBlock:
    return _block(ref.start, ref.n_tokens, ref.tier, ref.kind, ref.key)


def _block(start: int, tokens: int, where: BlockPlace, kind: BlockKind, key: bytes) -> ExplainedBlock:
    return ExplainedBlock(start=start, tokens=tokens, where=where, source=_SOURCES[kind], key=key.hex())


def _other(names: set[str]) -> MissReason:
    """What sets another root apart most."""
    if "model" in names:
        return "other_model"
    return "other_adapter" if names == {"adapter"} else "other_settings"
