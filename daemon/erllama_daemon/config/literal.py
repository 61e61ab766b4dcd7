"""Values as they stand in TOML, and as bare texts."""

from __future__ import annotations

import json

_LONGEST = 60


def quoted(text: str) -> str:
    """A text in the double quotes of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_toml(written: object) -> str:
    """A value as it is told to the user: in TOML, on one line, cut if it is long; a table is called so."""
    if isinstance(written, bool):
        return "true" if written else "false"
    if isinstance(written, dict | list):
        return "a table" if isinstance(written, dict) else "an array"
    text = quoted(written) if isinstance(written, str) else str(written)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def as_text(written: object) -> str:
    """The bare text that `Kind.written` reads as this value."""
    if isinstance(written, list):
        return ",".join(map(as_text, written))
    return written if isinstance(written, str) else as_toml(written)
