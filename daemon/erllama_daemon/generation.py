"""One request on its way through the engine: queued → prefilling → generating → done."""

from __future__ import annotations

import codecs
import enum
import secrets
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

import xxhash

from erllama_cache.writer import SaveOutcome
from erllama_daemon.backend import Logits, Sampler
from erllama_daemon.frames import Generate
from erllama_daemon.messages import FinishReason, HitKind, Stats

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

    def ms(self, start: float | None, end: float | None) -> float:
        """Milliseconds from `start` to `end`; 0 if either did not happen."""
        return 0.0 if start is None or end is None else round((end - start) * 1000, 3)


@dataclass(slots=True)
class Generation:
    """The state of one request; owned by the engine's thread.

    `tokens` is the prompt and then what was generated. The first `computed` of them are in the KV buffer, the
    first `chained` are in blocks, and `chain` holds those blocks' keys, of which `reused_blocks` came from the cache.
    `logits` belong to the last computed token. `is_chain_cut` says that the end of the answer could not be kept.
    """

    request: Generate
    clock: Clock = field(default_factory=Clock)
    state: GenerationState = GenerationState.QUEUED
    root: bytes = b""
    tokens: list[int] = field(default_factory=list)
    prompt_tokens: int = 0
    ends: list[int] = field(default_factory=list)
    chain: list[bytes] = field(default_factory=list)
    computed: int = 0
    chained: int = 0
    cached: int = 0
    reused_blocks: int = 0
    is_chain_cut: bool = False
    hit: HitKind = "cold"
    note: str | None = None
    logits: Logits | None = None
    sampler: Sampler | None = None
    seed: int = 0
    digest: xxhash.xxh3_128 | None = None
    finish_reason: FinishReason | None = None
    text: list[str] = field(default_factory=list)
    saves: list[Future[SaveOutcome]] = field(default_factory=list)

    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def __post_init__(self) -> None:
        seed = self.request.sampling.seed
        self.seed = secrets.randbelow(SEEDS) if seed is None else seed
        if self.request.logits_digest:
            self.digest = xxhash.xxh3_128()

    @property
    def id(self) -> int:
        """The request's number, given by the daemon."""
        return self.request.id

    @property
    def completion_tokens(self) -> int:
        """How many tokens were generated, an end token included."""
        return max(0, len(self.tokens) - self.prompt_tokens)

    @property
    def tail_key(self) -> bytes:
        """The parent of the next block."""
        return self.chain[-1] if self.chain else self.root

    def add_text(self, piece: bytes, *, last: bool = False) -> str:
        """The characters that `piece` completes; a character split over tokens waits for its rest."""
        text = self._decoder.decode(piece, last)
        if text:
            self.text.append(text)
        return text

    def stats(self, model: str, *, load_ms: float = 0.0) -> Stats:
        """What is reported of a finished request. `saved` looks at the saves that are done by now."""
        clock = self.clock
        dropped = self.is_chain_cut or any(_is_dropped(save) for save in self.saves)
        return Stats(
            text="".join(self.text),
            finish_reason=self.finish_reason or "cancelled",
            cancelled=self.finish_reason == "cancelled",
            stop_sequence=None,
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
            saved="dropped" if dropped else "published",
            cache_note=self.note,
            logits_digest=self.digest.hexdigest() if self.digest is not None else None,
        )


def _is_dropped(save: Future[SaveOutcome]) -> bool:
    return save.cancelled() or (save.done() and save.result() is SaveOutcome.DROPPED)
