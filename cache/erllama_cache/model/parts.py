"""The files of one model: llama.cpp splits large ones, NAME-00001-of-00003.gguf, and loads them by the first."""

from __future__ import annotations

import re
from pathlib import Path

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.ASCII | re.DOTALL)


def parts_of(path: Path) -> list[Path]:
    """All parts of the model whose first part is `path`, there or not; of any other file, that alone."""
    part = _PART.fullmatch(path.name)
    if part is None or int(part["number"]) != 1 or int(part["count"]) < 1:
        return [path]
    return [
        path.with_name(f"{part['stem']}-{number:05}-of-{part['count']}.gguf")
        for number in range(1, int(part["count"]) + 1)
    ]


def model_bytes(path: Path) -> int:
    """The size of a model, all its parts together. Raises OSError."""
    return sum(part.stat().st_size for part in parts_of(path))
