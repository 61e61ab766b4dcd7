"""What a client and the daemon say to each other: JSON over HTTP on the Unix socket, answers as NDJSON."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from erllama_cache.errors import ErllamaError
from erllama_cache.policy import Policy

FinishReason = Literal["stop", "length", "cancelled"]
HitKind = Literal["exact", "partial", "cold"]
SaveState = Literal["published", "dropped"]
KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]
FlashAttention = Literal["auto", "on", "off"]
Overflow = Literal["error", "drop_oldest"]


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
    """How the next token is chosen. A temperature of 0 is greedy; without a seed one is drawn and reported.

    `grammar` is GBNF whose start rule is `root`; `json_schema` is a JSON schema as text; at most one of them.
    `logit_bias` is added to the logits of the tokens it names.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = None
    grammar: str | None = None
    json_schema: str | None = None
    logit_bias: dict[int, float] = {}


class AdapterChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A LoRA adapter by the absolute path of its GGUF file, and how strongly it is applied."""

    path: str
    scale: float = 1.0


class Adapter(msgspec.Struct, frozen=True):
    """A LoRA adapter that is attached to a model. `handle` is the SHA-256 of its file, hex."""

    handle: str
    path: str
    scale: float


class ModelOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is loaded. None takes whatever is loaded, or else the default.

    `context_size` in tokens; `parallel` is how many requests are answered together; `gpu_layers` as in llama.cpp,
    -1 for all; `policy` says when state is saved;
    `keep_alive_s` is how long the model stays loaded after its last request, -1 for ever.
    """

    context_size: int | None = None
    parallel: int | None = None
    kv_type: KvType | None = None
    flash_attention: FlashAttention | None = None
    gpu_layers: int | None = None
    threads: int | None = None
    mmap: bool | None = None
    policy: Policy | None = None
    keep_alive_s: float | None = None


class CompleteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/complete`.

    With a session, `messages` are the new ones only and `model` is left out: both follow from the session.
    Instead of messages, `tokens` is a prompt as it stands; `parent_key` then names the chain that it extends (hex).
    `stop` ends the answer before any of these texts. `logprobs` asks for that many of the likeliest tokens at each
    step. `adapters` are used besides the attached ones. A reproducible request has a KV buffer to itself, so that
    its answer does not depend on what else runs. `logits_digest` asks for a digest of every row of logits that a
    token was sampled from, the proof of bit-exactness.
    """

    messages: list[Message] = []
    tokens: list[int] | None = None
    parent_key: str | None = None
    model: str | None = None
    session: str | None = None
    max_tokens: int = 1024
    sampling: Sampling = Sampling()
    stop: list[str] = []
    logprobs: int | None = None
    adapters: list[AdapterChoice] = []
    reproducible: bool = False
    overflow: Overflow = "error"
    options: ModelOptions = ModelOptions()
    logits_digest: bool = False


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/models/load` and `/v1/models/unload`."""

    model: str
    options: ModelOptions = ModelOptions()


class TokenizeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/tokenize`. `first` adds what the model wants at the very beginning of a text."""

    model: str
    text: str
    first: bool = False


class Tokenized(msgspec.Struct, frozen=True):
    """Token ids, and the text of each; bytes that are no whole character become U+FFFD."""

    tokens: list[int]
    pieces: list[str]


class DetokenizeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/detokenize`."""

    model: str
    tokens: list[int]


class Detokenized(msgspec.Struct, frozen=True):
    """The text of some tokens; control tokens are written out."""

    text: str


class RenderRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/render`: what the model would be asked, without asking it.

    `tools` are passed to the template.
    """

    model: str
    messages: list[Message]
    tools: list[dict[str, Any]] = []


class RenderedPrompt(msgspec.Struct, frozen=True):
    """A prompt as text and as tokens; `cuts` are the token positions where its blocks end."""

    text: str
    tokens: list[int]
    cuts: list[int]


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/embed`."""

    model: str
    texts: list[str]


class Embeddings(msgspec.Struct, frozen=True):
    """One vector of length 1 for each text; `tokens` is how many were read for all of them together."""

    embeddings: list[list[float]]
    tokens: int
    pooling: str


class AdapterRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/adapters/load|unload|scale|ls`.

    `adapter` is a path for `load`; for the others it may be a handle or its beginning too; `ls` has none.
    """

    model: str
    adapter: str = ""
    scale: float = 1.0


class AdapterList(msgspec.Struct, frozen=True):
    """The adapters attached to a model, and the effective fingerprint that they give it (hex)."""

    adapters: list[Adapter]
    fingerprint: str


class Evicted(msgspec.Struct, frozen=True):
    """What an eviction of live sequences did. `saved` counts blocks that were not yet in the cache."""

    sequences: int
    saved: int


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
    loaded. `cache_note` says why fewer tokens were reused than were asked for. `thinking` is what a thinking model
    said before its answer. `dropped_messages` counts the oldest messages that were left out to make the rest fit.
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
    thinking: str | None = None
    logprobs: list[TokenLogprobs] | None = None
    adapters: list[Adapter] = []
    dropped_messages: int = 0
    logits_digest: str | None = None


class Accepted(msgspec.Struct, frozen=True, tag="accepted", tag_field="event"):
    """The first event: the number that `POST /v1/cancel/ID` takes."""

    id: int


class Loading(msgspec.Struct, frozen=True, tag="loading", tag_field="event"):
    """The model is being loaded; `progress` runs from 0 to 1."""

    model: str
    progress: float = 0.0


class Queued(msgspec.Struct, frozen=True, tag="queued", tag_field="event"):
    """The request waits for `ahead` others to be admitted."""

    ahead: int


class Prefilling(msgspec.Struct, frozen=True, tag="prefilling", tag_field="event"):
    """`done` of `total` prompt tokens have been read; `cached` of them came from the cache."""

    done: int
    total: int
    cached: int


class Token(msgspec.Struct, frozen=True, tag="token", tag_field="event"):
    """Text of one or a few tokens that became ready together."""

    text: str


class Thinking(msgspec.Struct, frozen=True, tag="thinking", tag_field="event"):
    """Text that a thinking model says before its answer."""

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


Event = Accepted | Loading | Queued | Prefilling | Token | Thinking | Done | Failure


class RemoteError(ErllamaError):
    """{message}"""

    code = "remote"

    def __init__(self, failure: Failure) -> None:
        super().__init__(message=failure.message)
        self.failure = failure


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One loaded model. `resident_bytes` is the memory of its worker process; `fingerprint` is the effective one.

    `idle_s` is how long nothing has been asked of it; `expires_s` is when it will be unloaded, None for never.
    """

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
    running: int = 0
    parallel: int = 0
    adapters: list[Adapter] = []
    idle_s: float = 0.0
    expires_s: float | None = None


class Loaded(msgspec.Struct, frozen=True, tag="loaded", tag_field="event"):
    """The last event of `POST /v1/models/load`."""

    status: ModelStatus


LoadEvent = Loading | Loaded | Failure


class Unloaded(msgspec.Struct, frozen=True):
    """Answer of `POST /v1/models/unload`: whether the model was loaded before."""

    unloaded: bool


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `GET /v1/status`. The command prints the same with `running: false` when there is none."""

    running: bool
    socket: str
    pid: int | None = None
    version: str | None = None
    uptime_s: float | None = None
    models: list[ModelStatus] = []
