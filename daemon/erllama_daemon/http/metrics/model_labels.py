"""What models are called in metrics: one name a file, for as long as the daemon runs, however clients call it."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

NO_MODEL = "none"
"""In the place of the model where none was loaded: a request may name anything."""


class ModelLabels:
    """The names of files that were loaded, and so no more of them than there are files."""

    def __init__(self) -> None:
        self._labels: dict[Path, str] = {}

    def of(self, file: Path, called: str) -> str:
        """The name of a file that is called so, if it has no name yet: the last part of a path, and else all of it."""
        if file not in self._labels:
            name, taken = called.rpartition(os.sep)[2] or called, set(self._labels.values())
            names = itertools.chain([name], (f"{name}~{number}" for number in itertools.count(2)))
            self._labels[file] = next(each for each in names if each not in taken | {NO_MODEL})
        return self._labels[file]
