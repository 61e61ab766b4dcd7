"""Through which door a request came, and which files it may name there."""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from erllama_daemon.errors import FileOutside, OwnerOnly

Door = Literal["unix", "tcp"]
"""Where a request came in: at the owner's own socket, or at a port that takes a key."""

SCOPE_KEY = "erllama.door"
"""Where the scope of a request has its door."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A door, and the folders in which whoever came through it may name files; with None any.

    `client` is the number of the connection.
    """

    door: Door = "unix"
    folders: tuple[str, ...] | None = None
    client: int = 0

    def check_owner(self, asked: str) -> None:
        """Raises OwnerOnly at any door but the owner's own; `asked` is what is the owner's alone."""
        if self.door != "unix":
            raise OwnerOnly(path=asked)

    def check_file(self, path: str) -> None:
        """Raises FileOutside for a path outside the folders; one that names none of them is not even looked at."""
        if self.folders is None:
            return
        if "\0" in path or ".." in Path(path).parts or not self._is_within(path, self.folders):
            raise FileOutside
        if not self._is_within(os.path.realpath(path), [*map(os.path.realpath, self.folders)]):
            raise FileOutside

    @staticmethod
    def _is_within(path: str, folders: tuple[str, ...] | list[str]) -> bool:
        return any(Path(path).is_relative_to(folder) for folder in folders)


_OWNER = Entered()

ENTERED: ContextVar[Entered] = ContextVar("entered", default=_OWNER)
"""The door of the request that is served; what a request starts, tasks and threads, has it too."""
