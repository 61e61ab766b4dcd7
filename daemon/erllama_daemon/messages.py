"""What a client and the daemon say to each other: JSON over HTTP on the Unix socket, answers as NDJSON."""

from __future__ import annotations

from typing import Literal

import msgspec

from erllama_cache.errors import ErllamaError

FinishReason = Literal["stop", "length", "cancelled"]
HitKind = Literal["exact", "partial", "cold"]
SaveState = Literal["published", "dropped"]


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation.

    `parts` joined is its text. Each part's end is a breakpoint: what comes before it can be reused from the
    cache by any request that begins the same way, whatever follows.
    """

    role: Literal["system", "user", "assistant"]
    parts: list[str]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.parts)


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the next token is chosen. A temperature of 0 is greedy; without a seed one is drawn and reported."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = None


class CompleteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/complete`.

    With a session, `messages` are the new ones only and `model` is left out: both follow from the session.
    `logits_digest` asks for a digest of every row of logits that a token was sampled from, the proof of
    bit-exactness.
    """

    messages: list[Message]
    model: str | None = None
    session: str | None = None
    max_tokens: int = 1024
    sampling: Sampling = Sampling()
    logits_digest: bool = False


class NewSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/sessions`."""

    model: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as its user sees it. Times are seconds since the epoch; `unanswered` is a user message
    whose answer was cut off before it was saved.
    """

    id: str
    model: str
    title: str
    created: float
    updated: float
    messages: list[Message]
    tokens: int
    finish_key: str | None
    unanswered: Message | None = None


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints of one answer.

    Times are milliseconds. `ttft_ms` runs from the arrival at the worker to the first token, so it includes
    `queue_ms`, `restore_ms` and `prefill_ms` but not `load_ms`, the time this request waited for the model to be
    loaded. `cache_note` says why fewer tokens were reused than were asked for.
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
    cache_note: str | None = None
    logits_digest: str | None = None


class Loading(msgspec.Struct, frozen=True, tag="loading", tag_field="event"):
    """The model is being loaded."""

    model: str


class Prefilling(msgspec.Struct, frozen=True, tag="prefilling", tag_field="event"):
    """`done` of `total` prompt tokens have been read; `cached` of them came from the cache."""

    done: int
    total: int
    cached: int


class Token(msgspec.Struct, frozen=True, tag="token", tag_field="event"):
    """Text of one or a few tokens that became ready together."""

    text: str


class Done(msgspec.Struct, frozen=True, tag="done", tag_field="event"):
    """The last event of a request that ended well."""

    stats: Stats


class Failure(msgspec.Struct, frozen=True, tag="error", tag_field="event"):
    """The last event of a request that failed, and the body of every HTTP error."""

    code: str
    message: str
    hint: str | None
    exit_code: int

    @classmethod
    def of(cls, error: ErllamaError) -> Failure:
        """The failure that carries `error` over the socket; one that came over a socket goes on as it was."""
        if isinstance(error, RemoteError):
            return error.failure
        return cls(error.code, str(error), error.hint, error.exit_code)


Event = Loading | Prefilling | Token | Done | Failure


class RemoteError(ErllamaError):
    """{message}"""

    code = "remote"

    def __init__(self, failure: Failure) -> None:
        super().__init__(message=failure.message)
        self.failure = failure


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One loaded model. `resident_bytes` is the memory of its worker process."""

    id: str
    path: str
    pid: int
    status: Literal["loading", "idle", "prefilling", "generating"]
    backend: str
    context_size: int
    quant_type: str
    quant_bits: float
    tier: str
    fingerprint: str
    queue_depth: int
    live_sequences: int
    resident_bytes: int
    ram_rows: int
    ram_bytes: int
    ram_quota_bytes: int


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `GET /v1/status`. The command prints the same with `running: false` when there is none."""

    running: bool
    socket: str
    pid: int | None = None
    version: str | None = None
    uptime_s: float | None = None
    models: list[ModelStatus] = []
