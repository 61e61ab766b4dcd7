"""What the commands of the configuration print with `--json`."""

from __future__ import annotations

from typing import Literal

import msgspec

from erllama_daemon.messages import Setting

DaemonTakes = Literal["nothing", "at_once", "after_restart"]
"""What of a change reaches the daemon: nothing, as none runs or it has no use for it; all, at once (what is about
loading models at their next load); or what is left after a restart."""


class ConfigPath(msgspec.Struct, frozen=True):
    """What `config path --json` prints."""

    path: str
    exists: bool


class ShownSetting(Setting, frozen=True, kw_only=True):
    """A key, and what the running daemon has instead, if that is something else."""

    daemon: Setting | None = None


class ShownConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What `config show --json` prints. `warnings` are sentences about what is set and has no effect."""

    path: str
    exists: bool
    settings: list[ShownSetting]
    warnings: list[str]


class ChangedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What `config set|unset --json` prints: whether the file is different now, and what holds for the key.

    `setting` is None for a table, and for a key that there is not.
    """

    path: str
    key: str
    changed: bool
    setting: Setting | None
    daemon: DaemonTakes
