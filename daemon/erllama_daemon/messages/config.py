"""The configuration as a process has it: each key with its value and where that comes from."""

from __future__ import annotations

from typing import Literal

import msgspec

Origin = Literal["default", "file", "environment", "option"]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `written` is its value as one writes it, None where `default` only says it in words.

    `value` is the same as a number or a text: sizes in bytes, times in seconds (-1 is forever). `line` is that of the
    file, if it comes from there; `variable` is the environment variable that would set it.
    """

    key: str
    written: str | None
    value: bool | int | float | str | None
    default: str
    origin: Origin
    line: int | None
    variable: str | None
    summary: str


class DaemonSettings(msgspec.Struct, frozen=True):
    """Answer of `GET /v1/config`: the configuration that the daemon has read last, and from which file."""

    path: str
    settings: list[Setting]
