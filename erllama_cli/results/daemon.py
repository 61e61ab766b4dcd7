"""What the daemon's commands print with `--json`."""

from __future__ import annotations

from typing import Literal

import msgspec


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What `daemon start` prints: the daemon that runs now. `started` is false if it ran already.

    `url` is where it serves on TCP, None if it does not.
    """

    started: bool
    pid: int | None
    version: str | None
    socket: str
    url: str | None = None


class Stopped(msgspec.Struct, frozen=True):
    """What `daemon stop` prints: whether there was a daemon to stop, and which process it was."""

    stopped: bool
    pid: int | None


class Restarted(msgspec.Struct, frozen=True, kw_only=True):
    """What `daemon restart` prints: the process that was stopped, None if none ran, and the daemon that runs now.

    `url` is where it serves on TCP, None if it does not. `unloaded` are the models that the old one held. They were
    saved, and the next request loads them. `kept` are the options of the old one, each KEY=VALUE, that the new one has
    too; `left` are those that the file or the environment now sets, and so has it otherwise.
    """

    stopped_pid: int | None
    pid: int | None
    version: str | None
    socket: str
    url: str | None = None
    unloaded: list[str] = []
    kept: list[str] = []
    left: list[str] = []


class ShownKey(msgspec.Struct, frozen=True):
    """What `daemon key` prints: the key, the file that it is in, and whether it was made anew."""

    key: str
    path: str
    rotated: bool


class Log(msgspec.Struct, frozen=True):
    """What `daemon logs` prints: the file, and its last lines, the newest last."""

    path: str
    lines: list[str]


class ServiceFile(msgspec.Struct, frozen=True):
    """A file that makes the daemon a service, with all that stands in it."""

    path: str
    text: str


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """What `daemon install` prints.

    `written` says whether the files are there now, `active` whether the service manager was told of them; if not,
    `waits_for` says for what: for the manager, which cannot be reached, or for the daemon that runs, which is in use.
    `commands` is what is left to be typed.
    """

    manager: Literal["systemd", "launchd"]
    files: list[ServiceFile]
    written: bool
    active: bool
    waits_for: Literal["manager", "daemon"] | None = None
    commands: list[str] = []


class Uninstalled(msgspec.Struct, frozen=True, kw_only=True):
    """What `daemon uninstall` prints: the files that are ours, and whether they are gone now.

    `left` are files in their place that somebody else wrote. `commands` is what is left to be typed.
    """

    manager: Literal["systemd", "launchd"]
    files: list[str]
    removed: bool
    left: list[str] = []
    commands: list[str] = []
