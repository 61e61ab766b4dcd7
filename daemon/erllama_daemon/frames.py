"""What the daemon and a worker say to each other: MessagePack frames over the worker's stdin and stdout."""

from __future__ import annotations

from typing import IO, Literal

import msgspec

from erllama_daemon.messages import Failure, Message, Sampling, Stats

LENGTH_BYTES = 4
"""Each frame is its length as little-endian u32, then that many bytes of MessagePack."""


class Configure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first frame to a worker: what to load and where to cache."""

    model: str
    path: str
    cache: str
    ram_bytes: int
    disk_bytes: int | None = None
    context_size: int = 8192


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
    """Asks for an answer to `messages`, which follow `history` if there is one."""

    id: int
    messages: list[Message]
    history: History | None = None
    max_tokens: int
    sampling: Sampling
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


class Shutdown(msgspec.Struct, frozen=True, tag=True):
    """Cancel everything, save, exit."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The model is loaded."""

    backend: str
    context_size: int
    quant_type: str
    quant_bits: float
    fingerprint: str


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    """The model cannot be loaded; the worker exits."""

    failure: Failure


class Prefilled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Progress of a prompt, in tokens."""

    id: int
    done: int
    total: int
    cached: int


class Text(msgspec.Struct, frozen=True, tag=True):
    """Text of the tokens that became ready together."""

    id: int
    text: str


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


ToWorker = Configure | Generate | Cancel | RamQuota | AskStatus | Shutdown
FromWorker = Ready | LoadFailed | Prefilled | Text | Finished | Failed | Status

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
