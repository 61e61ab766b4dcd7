"""Files as the user names them, and the small ones that go with a request."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from erllama_cache.errors import ErllamaError

STREAM = "-"
"""What standard input or output is called where a file is asked for."""


def is_there(path: str | Path) -> bool:
    """Whether something is at a path. Where nothing can be, as of too long a name, nothing is: pathlib raises there."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: str | Path) -> bool:
    """Whether a file is at a path, as above."""
    return os.path.isfile(path)  # noqa: PTH113


def read_text_file(path: str, limit: int, error: type[ErllamaError]) -> str:
    """The text of a file of at most `limit` bytes. Raises `error` with the reason why it cannot be had."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as failure:
        reason = (failure.strerror if isinstance(failure, OSError) else None) or str(failure)
        raise error(reason=f"{path} cannot be read: {reason.lower()}") from failure
    if len(content) > limit:
        raise error(reason=f"{path} has more than {limit:,} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as failure:
        raise error(reason=f"{path} is not UTF-8 text (byte {failure.start})") from failure
