"""One request on its way through the engine: queued → prefilling → generating → done."""

from __future__ import annotations

import enum
import secrets
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import xxhash

from erllama_cache.disk.origins import Origin
from erllama_cache.keys import BlockKind
from erllama_cache.writer import SaveOutcome
from erllama_daemon.engine.adapters import EffectiveSet
from erllama_daemon.engine.answer_text import AnswerText
from erllama_daemon.engine.backend import Buffer, Logits, Sampler
from erllama_daemon.engine.call_rules import CallRules
from erllama_daemon.engine.prompt import Prompt
from erllama_daemon.frames import Generate
from erllama_daemon.messages import CacheTier, FinishReason, HitKind, SaveState, Stats, TokenLogprobs

SEEDS = 2**32 - 1
"""Seeds are below this number, which llama.cpp takes for "draw one"."""


class GenerationState(enum.Enum):
    """Where a request is."""

    QUEUED = "queued"
    PREFILLING = "prefilling"
    GENERATING = "generating"
    DONE = "done"


@dataclass(slots=True)
class Clock:
    """When things happened to a request, in seconds of the monotonic clock; None if they did not."""

    arrived: float = field(default_factory=time.monotonic)
    admitted: float | None = None
    restored: float | None = None
    prefilled: float | None = None
    first_token: float | None = None
    finished: float | None = None
    stepped: float = 0.0

    def ms(self, start: float | None, end: float | None) -> float:
        """Milliseconds from `start` to `end`; 0 if either did not happen."""
        return 0.0 if start is None or end is None else round((end - start) * 1000, 3)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request's state lies: a sequence of a buffer."""

    buffer: Buffer
    sequence: int


class ChainLink(NamedTuple):
    """A block of a request's chain, the position after its last token, and the seconds it once took to compute."""

    key: bytes
    end: int
    kind: BlockKind
    cost_s: float


@dataclass(slots=True, eq=False)
class Generation:
    """The state of one request; owned by the engine's thread.

    `tokens` is the prompt and then what was generated. The first `computed` of them are in the KV buffer at `place`,
    the first `chained` are in blocks, and `chain` holds those blocks' keys and ends, of which `reused_blocks` came from
    the cache; `tier` is the slowest place of theirs. `saves` tell what became of the other ones, and of all of them if
    `is_reuse_kept`: once the first block that extends what was reused is saved, and at the latest when the request is
    finished. `logits` belong to the last computed token. `is_chain_cut` says that the end of the chain was not kept.
    `markers` are the control texts that stand around thinking and calls of tools, and `calls` say which calls there may
    be, if any. `cost_s` is the time spent in decode, in seconds, for
    the tokens that are in no block yet; of a batch, each request has an equal share. `held` are the keys of blocks
    that may not be evicted while it runs. `origin` tells what the root was made from, unless that is nobody's business.

    `context_size` is the model's, in tokens.

    `has_company` says that the request has moved to the buffer of those that generate together; `must_stay` that it
    cannot, `is_shadowed` that the cache holds the same tokens with other bits, so that its own are of no use later.
    """

    request: Generate
    context_size: int = 0
    clock: Clock = field(default_factory=Clock)
    state: GenerationState = GenerationState.QUEUED
    prompt: Prompt | None = None
    has_company: bool = False
    must_stay: bool = False
    is_shadowed: bool = False
    adapters: EffectiveSet | None = None
    place: Place | None = None
    root: bytes = b""
    origin: Origin | None = None
    held: tuple[bytes, ...] = ()
    tokens: list[int] = field(default_factory=list)
    prompt_tokens: int = 0
    ends: list[int] = field(default_factory=list)
    chain: list[ChainLink] = field(default_factory=list)
    computed: int = 0
    cost_s: float = 0.0
    cached: int = 0
    reused_blocks: int = 0
    is_reuse_kept: bool = False
    is_chain_cut: bool = False
    hit: HitKind = "cold"
    tier: CacheTier | None = None
    note: str | None = None
    dropped_messages: int = 0
    logits: Logits | None = None
    sampler: Sampler | None = None
    seed: int = 0
    digest: xxhash.xxh3_128 | None = None
    logprobs: list[TokenLogprobs] | None = None
    thinking_tokens: int = 0
    finish_reason: FinishReason | None = None
    answer: AnswerText = field(default_factory=AnswerText)
    markers: tuple[str, ...] = ()
    calls: CallRules | None = None
    saves: list[Future[SaveOutcome]] = field(default_factory=list)
    _own_logits: Logits | None = None

    def __post_init__(self) -> None:
        seed = self.request.sampling.seed
        self.seed = secrets.randbelow(SEEDS) if seed is None else seed
        if self.request.logits_digest:
            self.digest = xxhash.xxh3_128()
        if self.request.logprobs is not None:
            self.logprobs = []

    @property
    def id(self) -> int:
        """The request's number, given by the daemon."""
        return self.request.id

    @property
    def completion_tokens(self) -> int:
        """How many tokens were generated, an end token included."""
        return max(0, len(self.tokens) - self.prompt_tokens)

    @property
    def is_private(self) -> bool:
        """Whether nothing of it may reach a disk."""
        return bool(self.request.scope)

    @property
    def tail_key(self) -> bytes:
        """The parent of the next block."""
        return self.chain[-1].key if self.chain else self.root

    @property
    def where(self) -> Place:
        """The place of an admitted request."""
        if self.place is None:
            raise RuntimeError(f"request {self.id} has no place in a buffer")
        return self.place

    @property
    def generated_kind(self) -> BlockKind:
        """The kind of a block of the answer that ends now."""
        return BlockKind.TOGETHER if self.has_company else BlockKind.GENERATED

    @property
    def can_stay_live(self) -> bool:
        """Whether its state may be gone on from: it is in blocks to its very end, and is what they hold."""
        is_whole = bool(self.chain) and self.computed == self.chained
        return is_whole and not self.is_shadowed and self.request.cache

    @property
    def chained(self) -> int:
        """How many tokens are in blocks."""
        return self.chain[-1].end if self.chain else 0

    @property
    def only_reads(self) -> bool:
        """Whether it is over when its prompt is read."""
        return self.request.max_tokens == 0

    @property
    def cells(self) -> int:
        """How many tokens the chain may grow to."""
        return self.prompt_tokens + self.request.max_tokens

    @property
    def _save_state(self) -> SaveState:
        if not self.request.cache:
            return "off"
        if self.is_private:
            return "private"
        return "dropped" if self.is_chain_cut or any(map(is_dropped, self.saves)) else "published"

    def give(self, prompt: Prompt) -> None:
        """Gives the request its prompt, before its turn."""
        self.prompt = prompt
        self.tokens, self.prompt_tokens = list(prompt.tokens), len(prompt.tokens)
        self.note, self.dropped_messages = prompt.note, prompt.dropped_messages

    def lacks_logits(self, end: int, *, has_logits: bool) -> bool:
        """Whether a stored block that ends there cannot be used: it has no logits to sample the first token from."""
        return end == self.prompt_tokens and not has_logits and not self.only_reads

    def keep_logits(self, row: Logits) -> None:
        """Copies a row of the buffer into memory of the request's own: new memory each time costs five times more."""
        if self._own_logits is None:
            self._own_logits = np.empty_like(row)
        np.copyto(self._own_logits, row)
        self.logits = self._own_logits

    def stats(self, model: str, *, load_ms: float = 0.0) -> Stats:
        """What is reported of a finished request. `saved` looks at the saves that are done by now."""
        clock = self.clock
        return Stats(
            text=self.answer.text,
            finish_reason=self.finish_reason or "cancelled",
            cancelled=self.finish_reason == "cancelled",
            stop_sequence=self.answer.stop_sequence,
            cache_hit_kind=self.hit,
            cached_tokens=self.cached,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            load_ms=load_ms,
            queue_ms=clock.ms(clock.arrived, clock.admitted),
            restore_ms=clock.ms(clock.admitted, clock.restored),
            prefill_ms=clock.ms(clock.restored, clock.prefilled),
            ttft_ms=clock.ms(clock.arrived, clock.first_token),
            generation_ms=clock.ms(clock.prefilled, clock.finished),
            finish_key=self.tail_key.hex(),
            model=model,
            seed=self.seed,
            saved=self._save_state,
            cache_tier=self.tier if self.cached else None,
            cache_note=self.note,
            thinking=self.answer.thinking,
            logprobs=self.logprobs,
            adapters=list(self.adapters.adapters) if self.adapters is not None else [],
            dropped_messages=self.dropped_messages,
            context_size=self.context_size,
            thinking_tokens=self.thinking_tokens,
            logits_digest=self.digest.hexdigest() if self.digest is not None else None,
            tool_calls=self.answer.calls,
        )


def is_dropped(save: Future[SaveOutcome]) -> bool:
    """Whether a save is over and the block is not in the cache."""
    return save.cancelled() or (save.done() and save.result() is SaveOutcome.DROPPED)
