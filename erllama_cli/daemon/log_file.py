"""A log that is written, put aside and begun anew while it is read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_BLOCK_BYTES = 1 << 16
_PAUSE_S = 0.2


def _pause() -> None:
    time.sleep(_PAUSE_S)


class LogFile:
    """The log at `path`, as it was when it was opened and as it goes on; beside it are those put aside, `path.1` …

    Nothing is changed. Raises OSError; a file that is not there is an empty log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Begin with what is there now."""
        self._file = _opened(self._path)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def last_lines(self, count: int) -> list[bytes]:
        """The last so many lines without their ends, also out of files put aside. Reading goes on behind them."""
        lines = [] if self._file is None else _last_lines(self._file, count)
        for aside in self._aside():
            if len(lines) >= count:
                break
            with aside.open("rb") as file:
                lines = _last_lines(file, count - len(lines)) + lines
        return lines

    def new_bytes(self, pause: Callable[[], None] = _pause) -> Iterator[bytes]:
        """What comes after what was read, for ever, also if the log is put aside, removed or cut off meanwhile."""
        while True:
            if self._file is None:
                self._file = _opened(self._path)
            if self._file is not None:
                yield from self._rest()
                yield from self._successors()
            pause()

    def _rest(self) -> Iterator[bytes]:
        assert self._file is not None  # noqa: S101 - the callers have looked
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
        while found := self._file.read(_BLOCK_BYTES):
            yield found

    def _successors(self) -> Iterator[bytes]:
        """What stands in the files that took the place of the one that is open; the last of them is open then."""
        for path in self._newer():
            following = _opened(path)
            if following is None:
                continue
            yield from self._rest()  # what was written before it was put aside
            self.close()
            self._file = following
            yield from self._rest()

    def _newer(self) -> list[Path]:
        """The files that were begun after the one that is open, the oldest first."""
        assert self._file is not None  # noqa: S101 - the callers have looked
        own, newer = os.fstat(self._file.fileno()), []
        for path in (self._path, *self._aside()):
            try:
                if os.path.samestat(path.stat(), own):
                    break
            except FileNotFoundError:
                continue
            newer.append(path)
        else:
            newer = newer[:1]  # it is not even among those put aside
        return newer[::-1]

    def _aside(self) -> Iterator[Path]:
        number = 1
        while (path := self._path.with_name(f"{self._path.name}.{number}")).is_file():
            yield path
            number += 1


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _last_lines(file: BinaryIO, count: int) -> list[bytes]:
    """The last lines of a file, which is read backwards as far as needed; its position is then the end."""
    end = start = file.seek(0, os.SEEK_END)
    tail = b""
    while start and tail.count(b"\n") <= count:
        start = max(0, start - _BLOCK_BYTES)
        file.seek(start)
        tail = file.read(end - start)
    file.seek(end)
    return tail.splitlines()[-count:] if count else []
