"""What the daemon's commands print with `--json`."""

from __future__ import annotations

import msgspec


class Stopped(msgspec.Struct, frozen=True):
    """What `daemon stop --json` prints: whether there was a daemon to stop, and which process it was."""

    stopped: bool
    pid: int | None
