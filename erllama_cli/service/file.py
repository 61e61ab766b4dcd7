"""A file that makes the daemon a service: ours if it says so, and no other is ever touched unasked."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from erllama_cli.results.daemon import ServiceFile
from erllama_daemon.errors import UnitForeign, UnitUnremovable, UnitUnwritable

MARK = "Written by erllama daemon install; erllama daemon uninstall removes it."
_MARKED_LINES = 3
"""The mark is in one of so many lines: in a property list, another has to come first."""


def is_ours(path: Path) -> bool:
    """Whether the file at `path` is one that we wrote. One that cannot be read is not."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return any(MARK in line for _, line in zip(range(_MARKED_LINES), file, strict=False))
    except OSError:
        return False


def check_writable(files: list[ServiceFile], *, force: bool) -> None:
    """Raises UnitForeign if one of the files would take the place of somebody else's."""
    for file in files:
        path = Path(file.path)
        if os.path.lexists(path) and not (force or is_ours(path)):
            raise UnitForeign(path=path)


def write(files: list[ServiceFile]) -> None:
    """Puts the files in their places, each at once and whole. Raises UnitUnwritable."""
    for file in files:
        path = Path(file.path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, file.text)
        except OSError as error:
            raise UnitUnwritable(path=path, reason=(error.strerror or str(error)).lower()) from error


def remove(paths: list[Path]) -> None:
    """Removes the files. Raises UnitUnremovable."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UnitUnremovable(path=path, reason=(error.strerror or str(error)).lower()) from error


def _replace(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(handle, 0o644)
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
