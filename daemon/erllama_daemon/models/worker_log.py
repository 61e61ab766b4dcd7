"""A worker in the daemon's log: its life, and line by line what it and the native code in it print."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from erllama_daemon import frames
from erllama_daemon.log_line import facts

log = logging.getLogger(__name__)

LINE_BYTES = 4096
"""A longer line is logged in pieces."""

_READ_BYTES = 1 << 16
_LEVELS = {name: logging.getLevelName(name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}


async def log_output(stream: asyncio.StreamReader, model: str, pid: int) -> None:
    """Reads to the end, whatever comes. A line that begins with a level has that; others are warnings."""
    whose = facts(model=model, pid=pid)
    rest = b""
    while chunk := await stream.read(_READ_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            _log_line(line, whose)
        while len(rest) >= LINE_BYTES:
            _log_line(rest[:LINE_BYTES], whose)
            rest = rest[LINE_BYTES:]
    _log_line(rest, whose)


def log_ready(ready: frames.Ready, model: str, pid: int, seconds: float) -> None:
    """That a model was loaded, and how long it took."""
    told = facts(
        model=model,
        pid=pid,
        ms=1000 * seconds,
        backend=ready.backend,
        context=ready.context_size,
        quant=ready.quant_type,
    )
    log.info("model loaded: %s", told)


def log_end(model: str, pid: int, why: str | None, how: str, *, is_unload: bool, is_clean: bool) -> None:
    """The end of a worker. One that ended by itself, or was killed, is a warning."""
    level = logging.INFO if is_clean else logging.WARNING
    event = "model unloaded" if is_unload else "worker ended"
    log.log(level, "%s: %s", event, facts(model=model, pid=pid, why=why, how=f"it {how}"))


def _log_line(line: bytes, whose: str) -> None:
    for piece in _pieces(line):
        text = piece.decode(errors="backslashreplace").strip()
        first, _, said = text.partition(" ")
        level = _LEVELS.get(first)
        if level is None:
            level, said = logging.WARNING, text
        if said:
            log.log(level, "worker says: %s: %s", whose, said)


def _pieces(line: bytes) -> Iterator[bytes]:
    for start in range(0, len(line), LINE_BYTES):
        yield line[start : start + LINE_BYTES]
