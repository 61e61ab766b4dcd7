"""How frames travel: a length, then MessagePack."""

from __future__ import annotations

from typing import IO

import msgspec

from erllama_daemon.frames.call import Call, CallAnswer
from erllama_daemon.frames.report import (
    Called,
    Failed,
    Finished,
    LoadFailed,
    LoadProgress,
    Prefilled,
    Ready,
    Text,
    Waiting,
)
from erllama_daemon.frames.request import Cancel, Configure, DiskQuota, Generate, RamQuota, Shutdown

LENGTH_BYTES = 4
"""Each frame is its length as little-endian u32, then that many bytes of MessagePack."""

ToWorker = Configure | Generate | Cancel | RamQuota | DiskQuota | Call | Shutdown

FromWorker = Ready | LoadProgress | LoadFailed | Waiting | Prefilled | Text | Called | Finished | Failed | CallAnswer

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
