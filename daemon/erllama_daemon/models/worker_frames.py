"""Frames as they come out of a worker, which is believed no more than it makes sense."""

from __future__ import annotations

import asyncio

from erllama_daemon import frames

FRAME_S = 30.0
"""How long the rest of a frame may take to come. Without that, a wrong length would swallow all that is said later."""


async def read_frame(stream: asyncio.StreamReader, frame_s: float = FRAME_S) -> frames.FromWorker:
    """The next frame. Raises FrameMalformed, and IncompleteReadError or ConnectionError at the end."""
    length = frames.body_length(await stream.readexactly(frames.LENGTH_BYTES))
    try:
        async with asyncio.timeout(frame_s):
            body = await stream.readexactly(length)
    except TimeoutError:
        reason = f"a frame of {length} bytes did not come whole within {frame_s:g} s"
        raise frames.FrameMalformed(reason) from None
    return frames.decode(body, frames.from_worker_decoder)
