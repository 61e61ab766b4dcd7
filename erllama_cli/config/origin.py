"""Where a value comes from, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from erllama_daemon.messages import Setting


def told_origin(setting: Setting) -> str:
    """`default`, `environment`, `option` or, with its line, `file`."""
    return setting.origin if setting.line is None else f"{setting.origin}, line {setting.line}"
