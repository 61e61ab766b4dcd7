"""What `ps` prints with `--json`."""

from __future__ import annotations

import msgspec

from erllama_daemon.messages import ModelStatus


class LoadedModels(msgspec.Struct, frozen=True):
    """What `ps --json` prints."""

    models: list[ModelStatus]
