"""The lines that were typed before, in a file of the user's that nobody else can read."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec
from prompt_toolkit.history import History

from erllama_daemon.directories import create_private

_KEPT_BYTES = 1 << 20


class TypedLines(History):
    """One JSON string a line, the oldest first. A file that cannot be read or written only remembers less."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def load_history_strings(self) -> Iterable[str]:
        """What was typed, the latest first."""
        with contextlib.suppress(OSError):
            return reversed([text for line in self._lines() if (text := _text(line)) is not None])
        return ()

    def store_string(self, string: str) -> None:
        """Adds what was typed; one write, so that two windows never mix."""
        with contextlib.suppress(OSError):
            create_private(self._path.parent)
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, msgspec.json.encode(string) + b"\n")
            finally:
                os.close(file)

    def _lines(self) -> list[bytes]:
        content = self._path.read_bytes()
        if len(content) <= 2 * _KEPT_BYTES:
            return content.splitlines()
        kept = content[-_KEPT_BYTES:].partition(b"\n")[2]
        with tempfile.NamedTemporaryFile(dir=self._path.parent, prefix=self._path.name, delete=False) as shorter:
            shorter.write(kept)
        Path(shorter.name).replace(self._path)
        return kept.splitlines()


def _text(line: bytes) -> str | None:
    try:
        return msgspec.json.decode(line, type=str)
    except msgspec.MsgspecError:
        return None
