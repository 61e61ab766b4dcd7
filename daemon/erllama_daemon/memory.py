"""How much memory there is, and how much a model takes."""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path

from erllama_cache.model.parts import model_bytes

KV_BYTES = 512 << 20
"""What is set aside for the KV buffer and the compute buffers of a model that is not loaded yet."""


LOW_BYTES = 512 << 20
"""Memory is short when less than this is available, or less than a twentieth of all there is."""


def low_bytes() -> int:
    """What must stay available, or memory is short."""
    return max(LOW_BYTES, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 20)


def available_bytes() -> int | None:
    """What new processes can have without swapping; None where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) << 10
    except (OSError, IndexError, ValueError):
        pass
    return None


def return_freed() -> None:
    """Gives what this process has freed back to the system, where its allocator would keep it for later."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def needed_bytes(path: Path) -> int:
    """An estimate for a model file; 0 if it cannot be read, which its worker will say better."""
    try:
        return model_bytes(path) * 11 // 10 + KV_BYTES
    except OSError:
        return 0


def resident_bytes(pid: int) -> int:
    """The memory of a process; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize()
