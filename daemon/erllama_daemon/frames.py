"""What the daemon and a worker say to each other: MessagePack frames over the worker's stdin and stdout."""

from __future__ import annotations

from typing import IO, Any, Literal

import msgspec

from erllama_cache.policy import Policy
from erllama_daemon.messages import (
    Adapter,
    AdapterChoice,
    Failure,
    FlashAttention,
    KvType,
    Message,
    Overflow,
    Sampling,
    Stats,
)

LENGTH_BYTES = 4
"""Each frame is its length as little-endian u32, then that many bytes of MessagePack."""


class Configure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first frame to a worker: what to load, how, and where to cache.

    None for `context_size` takes what the model was trained for, as far as the free memory goes; for `threads`, one a
    core. `adapters` are attached from the start.
    """

    model: str
    path: str
    cache: str
    ram_bytes: int
    disk_bytes: int | None = None
    context_size: int | None = None
    parallel: int = 4
    queue_limit: int = 256
    kv_type: KvType = "f16"
    flash_attention: FlashAttention = "auto"
    gpu_layers: int = -1
    threads: int | None = None
    mmap: bool = True
    policy: Policy = Policy()
    adapters: list[AdapterChoice] = []


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversation holds so far: its messages, its exact tokens (little-endian u32) and its finish key.

    The last message is the assistant's; `tokens` ends where its answer ended. `fingerprint` is that of the model
    that they are tokens of.
    """

    messages: list[Message]
    tokens: bytes
    finish_key: bytes | None
    fingerprint: str


class Generate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Asks for an answer to `messages`, which follow `history` if there is one, or to `tokens` as they stand.

    `tokens` are little-endian u32, and `parent_key` is the chain that they extend.
    """

    id: int
    messages: list[Message] = []
    history: History | None = None
    tokens: bytes | None = None
    parent_key: bytes | None = None
    max_tokens: int
    sampling: Sampling
    stop: list[str] = []
    logprobs: int | None = None
    adapters: list[AdapterChoice] = []
    reproducible: bool = False
    overflow: Overflow = "error"
    logits_digest: bool = False


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """Ends a request at the next tick. An unknown or finished id is fine."""

    id: int


class RamQuota(msgspec.Struct, frozen=True, tag=True):
    """This worker's share of the RAM budget from now on, in bytes."""

    bytes: int


class AskStatus(msgspec.Struct, frozen=True, tag=True):
    """Asks for a `Status`; answered at any time."""

    id: int


class Tokenize(msgspec.Struct, frozen=True, tag=True):
    """Asks for `Tokens`."""

    id: int
    text: str
    first: bool


class Detokenize(msgspec.Struct, frozen=True, tag=True):
    """Asks for `Detokenized`. `tokens` are little-endian u32."""

    id: int
    tokens: bytes


class Render(msgspec.Struct, frozen=True, tag=True):
    """Asks for `Rendered`."""

    id: int
    messages: list[Message]
    tools: list[dict[str, Any]]


class Embed(msgspec.Struct, frozen=True, tag=True):
    """Asks for `Embedded`."""

    id: int
    texts: list[str]


class LoadAdapter(msgspec.Struct, frozen=True, tag=True):
    """Attaches an adapter for every request admitted from now on; asks for `Adapters`."""

    id: int
    path: str
    scale: float


class UnloadAdapter(msgspec.Struct, frozen=True, tag=True):
    """Detaches an adapter, named by its path, its handle or the beginning of it; asks for `Adapters`. Idempotent."""

    id: int
    adapter: str


class ScaleAdapter(msgspec.Struct, frozen=True, tag=True):
    """Changes how strongly an attached adapter is applied; asks for `Adapters`."""

    id: int
    adapter: str
    scale: float


class ListAdapters(msgspec.Struct, frozen=True, tag=True):
    """Asks for `Adapters`."""

    id: int


class EvictLive(msgspec.Struct, frozen=True, tag=True):
    """Saves whatever is live and lets go of what nobody uses; asks for `LiveEvicted`."""

    id: int


class Shutdown(msgspec.Struct, frozen=True, tag=True):
    """Cancel everything, save, exit."""


class LoadProgress(msgspec.Struct, frozen=True, tag=True):
    """How much of the model is loaded, from 0 to 1."""

    progress: float


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The model is loaded."""

    backend: str
    context_size: int
    quant_type: str
    quant_bits: float
    fingerprint: str
    parallel: int


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    """The model cannot be loaded; the worker exits."""

    failure: Failure


class Prefilled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Progress of a prompt, in tokens."""

    id: int
    done: int
    total: int
    cached: int


class Waiting(msgspec.Struct, frozen=True, tag=True):
    """The request is in the queue behind `ahead` others."""

    id: int
    ahead: int


class Text(msgspec.Struct, frozen=True, tag=True):
    """Text of the tokens that became ready together: of the answer, or of the thinking before it."""

    id: int
    text: str
    thinking: bool = False


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last frame of a request that ended well; its blocks are published, or dropped as the stats say.

    `tokens` is the whole chain as little-endian u32: prompt and answer, as far as they were computed.
    `answered` is false if it was cancelled before the prompt was read.
    """

    id: int
    stats: Stats
    tokens: bytes
    finish_key: bytes
    answered: bool


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The last frame of a request that failed."""

    id: int
    failure: Failure


class Status(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What a worker is doing, and its RAM tier."""

    id: int
    status: Literal["idle", "prefilling", "generating"]
    queue_depth: int
    live_sequences: int
    ram_rows: int
    ram_bytes: int
    ram_quota_bytes: int
    running: int
    fingerprint: str
    adapters: list[Adapter]


class Tokens(msgspec.Struct, frozen=True, tag=True):
    """Tokens as little-endian u32, and the text of each."""

    id: int
    tokens: bytes
    pieces: list[str]


class Detokenized(msgspec.Struct, frozen=True, tag=True):
    """The text of some tokens."""

    id: int
    text: str


class Rendered(msgspec.Struct, frozen=True, tag=True):
    """A prompt as text, as tokens (little-endian u32), and the positions where its blocks end."""

    id: int
    text: str
    tokens: bytes
    cuts: list[int]


class Embedded(msgspec.Struct, frozen=True, tag=True):
    """One vector a text, little-endian float32."""

    id: int
    vectors: list[bytes]
    tokens: int
    pooling: str


class Adapters(msgspec.Struct, frozen=True, tag=True):
    """What is attached now, and the effective fingerprint (hex)."""

    id: int
    adapters: list[Adapter]
    fingerprint: str


class LiveEvicted(msgspec.Struct, frozen=True, tag=True):
    """How many sequences were let go of, and how many blocks had to be saved first."""

    id: int
    sequences: int
    saved: int


Call = (
    AskStatus
    | Tokenize
    | Detokenize
    | Render
    | Embed
    | LoadAdapter
    | UnloadAdapter
    | ScaleAdapter
    | ListAdapters
    | EvictLive
)
"""Frames with one answer, which come at any time, whatever is being generated."""

CallAnswer = Status | Tokens | Detokenized | Rendered | Embedded | Adapters | LiveEvicted

ToWorker = Configure | Generate | Cancel | RamQuota | Call | Shutdown
FromWorker = Ready | LoadProgress | LoadFailed | Waiting | Prefilled | Text | Finished | Failed | CallAnswer

_encoder = msgspec.msgpack.Encoder()


def encode(frame: ToWorker | FromWorker) -> bytes:
    """A frame with its length in front."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


def body_length(prefix: bytes) -> int:
    """How many bytes follow the length prefix."""
    return int.from_bytes(prefix, "little")


def read_body(stream: IO[bytes]) -> bytes | None:
    """The body of the next frame from a blocking stream; None at its end, even in the middle of a frame."""
    prefix = stream.read(LENGTH_BYTES)
    if len(prefix) < LENGTH_BYTES:
        return None
    body = stream.read(body_length(prefix))
    return body if len(body) == body_length(prefix) else None


to_worker_decoder: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
from_worker_decoder: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
