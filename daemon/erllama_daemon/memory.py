"""How much memory there is, and how much a model takes."""

from __future__ import annotations

import resource
from pathlib import Path

KV_BYTES = 512 << 20
"""What is set aside for the KV buffer and the compute buffers of a model that is not loaded yet."""


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


def needed_bytes(path: Path) -> int:
    """An estimate for a model file; 0 if it cannot be read, which its worker will say better."""
    try:
        return path.stat().st_size * 11 // 10 + KV_BYTES
    except OSError:
        return 0


def resident_bytes(pid: int) -> int:
    """The memory of a process; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize()
