"""The file on the disk, changed: all of it or nothing, and nobody's change is lost."""

from __future__ import annotations

import codecs
import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from filelock import FileLock

from erllama_cache.disk.atomic import write_atomically
from erllama_cli.config.document import Unchangeable, with_key, without_key
from erllama_daemon.config.given import Gathered, Place, told_nearest
from erllama_daemon.config.key import Path, dotted, find
from erllama_daemon.config.settings import settings_of
from erllama_daemon.directories import Directories, create_private
from erllama_daemon.errors import ConfigKeyInvalid, ConfigUnchangeable, ConfigUnwritable

if TYPE_CHECKING:
    from erllama_daemon.config.key import Key

_NEW_MODE = 0o600


def set_key(directories: Directories, path: Path, key: Key, value: str) -> bool:
    """Sets a key in the file to a bare text; whether that changed the file.

    Raises ConfigKeyInvalid, ConfigInvalid, ConfigUnchangeable and ConfigUnwritable: nothing has changed.
    """
    written = key.kind.written(value)
    gathered = Gathered()
    gathered.take(path, written, Place("option", dotted(path)))
    if gathered.problems:
        raise ConfigKeyInvalid(problem=gathered.problems[0])

    def changed(text: str) -> str:
        _check_toml(directories.config_file, text)
        return with_key(text, path, written)

    return rewrite(directories, changed, dotted(path))


def unset_key(directories: Directories, path: Path) -> bool:
    """Takes a key or a table out of the file; whether it was there. Raises as `set_key`."""

    def changed(text: str) -> str:
        _check_toml(directories.config_file, text)
        without = without_key(text, path)
        if without is None and find(path) is None:
            raise ConfigKeyInvalid(problem=f"{dotted(path)}: there is no such key{told_nearest(path)}")
        return text if without is None else without

    return rewrite(directories, changed, dotted(path))


def rewrite(directories: Directories, change: Callable[[str], str], name: str = "this") -> bool:
    """Puts what `change` makes of the file's text in its place; whether that is something else.

    `change` may be asked again, of a text that somebody else has written meanwhile. A link is followed, the mode of the
    file stays. Raises what `change` raises, ConfigInvalid if the outcome is, ConfigUnchangeable and ConfigUnwritable.
    """
    file = directories.config_file
    try:
        create_private(directories.runtime)
        with FileLock(directories.runtime / "config.lock"):
            while True:
                before = file.read_bytes() if file.exists() else None
                after = _changed(file, before or b"", change, name)
                if after == (before or b""):
                    return False
                if _replace(file, before, after):
                    return True
    except OSError as error:
        raise ConfigUnwritable(path=file, reason=(error.strerror or str(error)).lower()) from error


def _changed(file: FilePath, before: bytes, change: Callable[[str], str], name: str) -> bytes:
    try:
        after = change(before.removeprefix(codecs.BOM_UTF8).decode()).encode()
    except UnicodeDecodeError:
        after = before  # of which is said that it is no UTF-8
    except Unchangeable:
        raise ConfigUnchangeable(path=file, key=name) from None
    settings_of(file, after)
    return after


def _check_toml(file: FilePath, text: str) -> None:
    """Raises ConfigInvalid for what is no TOML; what its keys say may yet be mended."""
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError):
        settings_of(file, text.encode())
        raise


def _replace(file: FilePath, before: bytes | None, after: bytes) -> bool:
    """Whether the file was still as it was before, and is replaced."""
    target = FilePath(os.path.realpath(file))
    create_private(target.parent)
    mode = stat.S_IMODE(target.stat().st_mode) if before is not None else _NEW_MODE
    if (target.read_bytes() if target.exists() else None) != before:
        return False
    write_atomically(target, [after], mode)
    return True
