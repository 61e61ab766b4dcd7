"""What every command prints with `--json` when it fails."""

from __future__ import annotations

import msgspec

from erllama_daemon.messages import Failure


class FailureReport(msgspec.Struct, frozen=True):
    """What `--json` prints instead of the result when a command fails."""

    error: Failure
