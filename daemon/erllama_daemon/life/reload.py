"""What is different between two configurations, and what of it takes a new daemon."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from erllama_daemon.config import Config
from erllama_daemon.messages import Reloaded

AT_ONCE = ("aliases", "cache", "daemon", "load", "models", "policy", "sessions")
"""The tables that a running daemon takes on; of those that say how models are loaded, at the next load."""

AFTER_RESTART = ("daemon.http", "daemon.http_tls_cert", "daemon.http_tls_key")
"""The keys in those tables that say where the daemon listens, and so take a new one."""

NOT_ITS_OWN = "run"
"""The table that each command reads for itself."""

_MISSING = object()


def differences(before: Config, after: Config) -> Reloaded:
    """The keys whose values differ, in the order of the alphabet."""
    old, new = dict(_flat(before)), dict(_flat(after))
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key, _MISSING) != new.get(key, _MISSING))
    keys = [key for key in keys if key.partition(".")[0] != NOT_ITS_OWN]
    at_once = [key for key in keys if key.partition(".")[0] in AT_ONCE and key not in AFTER_RESTART]
    return Reloaded(at_once, [key for key in keys if key not in at_once])


def _flat(table: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every key of a table and of the tables in it, with its value."""
    if isinstance(table, msgspec.Struct):
        rows = [(name, getattr(table, name)) for name in table.__struct_fields__]
    elif isinstance(table, dict):
        rows = [(_quoted(name), value) for name, value in table.items()]
    else:
        yield prefix, table
        return
    for name, value in rows:
        yield from _flat(value, f"{prefix}.{name}" if prefix else name)


def _quoted(name: str) -> str:
    is_bare = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    return name if is_bare else f'"{name}"'
