"""Asking for an answer, and what is reported of it."""

from __future__ import annotations

from typing import Any, Literal, Self

import msgspec

from erllama_daemon import choices
from erllama_daemon.choices import Overflow
from erllama_daemon.messages.adapter import Adapter, AdapterChoice
from erllama_daemon.messages.conversation import FinishReason, Message, ToolCall
from erllama_daemon.messages.model import ModelOptions

HitKind = Literal["exact", "partial", "cold"]

CacheTier = Literal["live", "ram", "disk"]
"""Where reused tokens were: in the model's own KV buffer, in the cache in memory, or on disk."""

SaveState = Literal["published", "dropped", "private", "off"]
"""What became of the state of an answer: it is on disk; the cache did not take all of it; it was in memory alone, for
as long as the conversation lasts; or it was kept nowhere."""

CachedDemand = int | Literal["prefix"] | None
"""How many tokens the cache must hold of a prompt: so many, or all that stand before the question."""


class NamedTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tool that has to be called."""

    name: str


ToolChoice = Literal["none", "auto", "required"] | NamedTool
"""Whether tools may be called: not at all, as the model likes, some one of them, or this one."""


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the next token is chosen. A temperature of 0 is greedy; without a seed one is drawn and reported.

    `grammar` is GBNF whose start rule is `root`; `json_schema` is a JSON schema as text; at most one of them.
    `logit_bias` is added to the logits of the tokens it names. `frequency_penalty` is taken from a logit for each time
    that the token is among the last 64, `presence_penalty` once if it is.
    """

    temperature: float = choices.TEMPERATURE
    top_k: int = choices.TOP_K
    top_p: float = choices.TOP_P
    min_p: float = choices.MIN_P
    repeat_penalty: float = choices.REPEAT_PENALTY
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None
    grammar: str | None = None
    json_schema: str | None = None
    logit_bias: dict[int, float] = {}


class CompleteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/complete`.

    With a session, `messages` are the new ones only and `model` is left out: both follow from the session. They follow
    its last turn or, if `after` names one of its turns (0 is its beginning), that one, which the session then goes on
    from. `seen` is the last turn that the client knows of (0 if it knows of none): if there is a later one, the request
    fails. A system message takes the place of the one at the beginning, and has everything read again.
    `parent_key` (hexadecimal) is the finish key of any answer: the messages, which need no session, follow it. Instead
    of messages, `tokens` is a prompt as it stands; `parent_key` then names the chain that it extends.
    `stop` ends the answer before any of these texts. `logprobs` asks for that many of the likeliest tokens at each
    step. `adapters` are used besides the attached ones. A reproducible request has a KV buffer to itself, so that
    its answer does not depend on what else runs. `logits_digest` asks for a digest of every row of logits that a
    token was sampled from, the proof of bit-exactness.

    With `max_tokens` 0 nothing is generated: the prompt is read and saved as far as whole blocks end before the last
    part of the last message, which only stands for a question to come; a prompt of one part is read whole.

    What a `private` request computes never reaches a disk and is gone when its answer ends; in a session, that must
    be private too, it is gone with the session. Without `cache`, a request neither looks into the cache nor leaves
    anything in it. `require_cached` has it fail before anything is read unless the cache holds so many tokens of the
    prompt; "prefix" is as many as stand before the last part of the last message, or all if nothing does.

    `tools` are functions as OpenAI's API describes them: `{"type": "function", "function": {"name", "description",
    "parameters"}}`, the parameters as a JSON schema. Unless the choice is "none", the model is shown them and may call
    them, several at once if they may be parallel; what it calls is in `tool_calls`, and no text of the answer.
    """

    messages: list[Message] = []
    tokens: list[int] | None = None
    parent_key: str | None = None
    model: str | None = None
    session: str | None = None
    after: int | None = None
    seen: int | None = None
    max_tokens: int = choices.MAX_TOKENS
    sampling: Sampling = Sampling()
    stop: list[str] = []
    logprobs: int | None = None
    adapters: list[AdapterChoice] = []
    reproducible: bool = False
    overflow: Overflow = "stop"
    private: bool = False
    cache: bool = True
    require_cached: CachedDemand = None
    options: ModelOptions = ModelOptions()
    logits_digest: bool = False
    tools: list[dict[str, Any]] = []
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True


class TokenLogprob(msgspec.Struct, frozen=True):
    """A token that could have come next, and the natural logarithm of its probability before any sampler."""

    token: int
    text: str
    logprob: float


class TokenLogprobs(msgspec.Struct, frozen=True):
    """One generated token, and the likeliest ones in its place, best first."""

    token: int
    text: str
    logprob: float
    top: list[TokenLogprob]


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints of one answer.

    Times are milliseconds. `ttft_ms` runs from the arrival at the worker to the first token, so it includes
    `queue_ms`, `restore_ms` and `prefill_ms` but not `load_ms`, the time this request waited for the model to be
    loaded. `cache_tier` is the slowest place that any of the reused tokens came from, None if none were reused, and
    `cache_note` says why fewer were than were asked for. `thinking` is what a thinking model
    said before its answer. `dropped_messages` counts the oldest messages that were left out to make the rest fit, and
    `summary` is what was put in their place. `turn` is the number in the database of the turn that the answer became,
    and `parent_key` the finish key of the one it follows. `context_size` is how many tokens the model holds in mind.
    `tool_calls` are the tools that the model wants to have called. `thinking_tokens` is how many of the completion's
    tokens are the thinking before it.
    """

    text: str
    finish_reason: FinishReason
    cancelled: bool
    stop_sequence: str | None
    cache_hit_kind: HitKind
    cached_tokens: int
    prompt_tokens: int
    completion_tokens: int
    load_ms: float
    queue_ms: float
    restore_ms: float
    prefill_ms: float
    ttft_ms: float
    generation_ms: float
    finish_key: str
    model: str
    seed: int
    saved: SaveState
    session: str | None = None
    cache_tier: CacheTier | None = None
    cache_note: str | None = None
    thinking: str | None = None
    logprobs: list[TokenLogprobs] | None = None
    adapters: list[Adapter] = []
    dropped_messages: int = 0
    summary: str | None = None
    logits_digest: str | None = None
    turn: int | None = None
    parent_key: str | None = None
    context_size: int = 0
    tool_calls: list[ToolCall] = []
    thinking_tokens: int = 0

    @classmethod
    def never_started(
        cls, *, model: str, session: str | None, seed: int, load_ms: float, saved: SaveState = "published"
    ) -> Self:
        """Those of an answer that was cancelled before a worker heard of it."""
        return cls(
            text="",
            finish_reason="cancelled",
            cancelled=True,
            stop_sequence=None,
            cache_hit_kind="cold",
            cached_tokens=0,
            prompt_tokens=0,
            completion_tokens=0,
            load_ms=load_ms,
            queue_ms=0.0,
            restore_ms=0.0,
            prefill_ms=0.0,
            ttft_ms=0.0,
            generation_ms=0.0,
            finish_key="",
            model=model,
            seed=seed,
            saved=saved,
            session=session,
        )
