"""What a daemon makes of what a worker says."""

from __future__ import annotations

import asyncio

import pytest

from erllama_daemon import frames
from erllama_daemon.models.worker_frames import read_frame

PROGRESS = frames.LoadProgress(0.5)


def read(said: bytes, *, ends: bool = True) -> frames.FromWorker:
    async def story() -> frames.FromWorker:
        stream = asyncio.StreamReader()
        stream.feed_data(said)
        if ends:
            stream.feed_eof()
        return await read_frame(stream, frame_s=0.0)

    return asyncio.run(story())


def test_a_frame_is_what_was_sent() -> None:
    assert read(frames.encode(PROGRESS), ends=False) == PROGRESS


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes"),
        (b"\x05\0\0\0\x81", "did not come whole"),
        (b"\x01\0\0\0\xc1", "invalid opcode"),
        (frames.encode(frames.LoadProgress("much")), "Expected `float`"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_frame_is_named(said: bytes, reason: str) -> None:
    with pytest.raises(frames.FrameMalformed, match=reason):
        read(said, ends=False)


def test_a_worker_that_ended_within_a_frame_has_ended() -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        read(frames.encode(PROGRESS)[:-1])
