"""How frames travel: a length, then MessagePack."""

from __future__ import annotations

from typing import IO, TypeVar

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

LONGEST_FRAME = 1 << 30
"""In bytes; what is longer is a length that is none."""

ToWorker = Configure | Generate | Cancel | RamQuota | DiskQuota | Call | Shutdown

FromWorker = Ready | LoadProgress | LoadFailed | Waiting | Prefilled | Text | Called | Finished | Failed | CallAnswer

_Frame = TypeVar("_Frame")

_encoder = msgspec.msgpack.Encoder()


def encode(frame: ToWorker | FromWorker) -> bytes:
    """A frame with its length in front."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


class FrameMalformed(Exception):
    """What came is no frame, or none that may come now."""


def body_length(prefix: bytes) -> int:
    """How many bytes follow the length prefix. Raises FrameMalformed."""
    length = int.from_bytes(prefix, "little")
    if length > LONGEST_FRAME:
        raise FrameMalformed(f"a frame of {length} bytes")
    return length


def decode(body: bytes, decoder: msgspec.msgpack.Decoder[_Frame]) -> _Frame:
    """The frame that a body is. Raises FrameMalformed."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameMalformed(str(error)) from error


def read_body(stream: IO[bytes]) -> bytes | None:
    """The body of the next frame from a blocking stream; None at its end, even in the middle of a frame.

    Raises FrameMalformed.
    """
    prefix = stream.read(LENGTH_BYTES)
    if len(prefix) < LENGTH_BYTES:
        return None
    body = stream.read(length := body_length(prefix))
    return body if len(body) == length else None


to_worker_decoder: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)

from_worker_decoder: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
