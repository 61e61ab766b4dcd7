"""The keys in docs/config.md, between lines that say of which table; the rest of the page is written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from erllama_daemon.config.key import Key, Table, all_keys

PAGE = Path("docs") / "config.md"
_ROOT = Path(__file__).parents[2]
_KEYS = re.compile(r"(?ms)^<!-- the keys of (?P<table>\w+) -->\n.*?^<!-- end -->$")


def files() -> Iterator[tuple[Path, str]]:
    """The page, with its tables as the code has them."""
    yield PAGE, _KEYS.sub(_keys, (_ROOT / PAGE).read_text())


def _keys(found: re.Match[str]) -> str:
    name = found["table"]
    table = all_keys()[name]
    if not isinstance(table, Table):
        raise TypeError(f"{name} is no table")
    lines = [f"<!-- the keys of {name} -->", "", table.summary, ""]
    lines += ["| key | what it is for | default | takes |", "|---|---|---|---|"]
    lines += [_row(key) for key in table.values() if isinstance(key, Key)]
    return "\n".join([*lines, "", "<!-- end -->"])


def _row(key: Key) -> str:
    default = key.default_words if key.default is None else f"`{key.default}`"
    return f"| `{key.path[-1]}` | {key.summary} | {default} | {_cell(key.takes().removeprefix('takes '))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
