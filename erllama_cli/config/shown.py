"""What `config show` shows: what is in force here, what the daemon has otherwise, and what has no effect."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator

import msgspec

from erllama_cache.errors import ErllamaError
from erllama_cli.client import Client
from erllama_cli.config.outcome import COMMAND_LINE
from erllama_cli.results.config import ShownConfig, ShownSetting
from erllama_daemon.catalog.find import find_model
from erllama_daemon.config import Settings, effective
from erllama_daemon.config.key import Key, dotted, find, split
from erllama_daemon.config.overrides import unknown_variables
from erllama_daemon.directories import Directories
from erllama_daemon.messages import DaemonSettings, Setting

_DEMO = "demo"


def shown_config(directories: Directories) -> ShownConfig:
    """All there is to show. Raises ConfigInvalid."""
    settings = effective(directories.config_file)
    daemon = _daemon_settings(directories)
    warnings = [*unknown_variables(os.environ), *_missing_models(settings)]
    if daemon is not None and daemon.path != str(settings.path):
        warnings.append(f"The daemon that runs reads another file: {daemon.path}.")
        daemon = None
    return ShownConfig(
        path=str(settings.path),
        exists=settings.path.exists(),
        settings=_beside(settings, [] if daemon is None else daemon.settings),
        warnings=warnings,
    )


def _daemon_settings(directories: Directories) -> DaemonSettings | None:
    """What a daemon that runs has; None if none does, or does not say so because it is of an older version."""
    client = Client(directories)
    try:
        return client.settings() if client.answers() else None
    except ErllamaError:
        return None


def _beside(settings: Settings, others: list[Setting]) -> list[ShownSetting]:
    """Every key, with that of the daemon where it has something else."""
    theirs = {each.key: each for each in others if not each.key.startswith(f"{COMMAND_LINE}.")}
    rows = settings.rows()
    known = {row.key for row in rows}
    rows += [row for name in theirs if name not in known and (row := _unset(settings, name)) is not None]
    shown = []
    for row in rows:
        other = theirs.get(row.key)
        if other is None and theirs and row.origin != "default" and not row.key.startswith(f"{COMMAND_LINE}."):
            other = _as_default(row)
        is_same = other is None or other.value == row.value
        shown.append(ShownSetting(**msgspec.structs.asdict(row), daemon=None if is_same else other))
    return shown


def _unset(settings: Settings, name: str) -> Setting | None:
    """A key that only the daemon has set; None if this version knows of none."""
    path = split(name)
    key = find(path)
    return settings.row(key, path) if isinstance(key, Key) else None


def _as_default(row: Setting) -> Setting:
    return msgspec.structs.replace(row, written=None, value=None, origin="default", line=None)


def _is_there(name: str) -> bool:
    try:
        find_model(name)
    except ErllamaError:
        return False
    return True


def _missing_models(settings: Settings) -> Iterator[str]:
    """Tables of models that are not there: they may come, or the name is misspelt."""
    names = [_DEMO, *settings.config.aliases]
    for name, line in settings.model_lines.items():
        if name in names or _is_there(name):
            continue
        near = difflib.get_close_matches(name, names, n=1)
        where = "" if line is None else f"line {line}: "
        nearest = f"; the nearest is {near[0]}" if near else ""
        yield f"{where}{dotted(('models', name))}: there is no such model now{nearest}."
