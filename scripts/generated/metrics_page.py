"""The metrics in docs/metrics.md, between lines that say which; the rest of the page is written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from erllama_daemon.http.metrics import family
from erllama_daemon.http.metrics.family import Family

PAGE = Path("docs") / "metrics.md"
_ROOT = Path(__file__).parents[2]
_METRICS = re.compile(r"(?ms)^<!-- the metrics of (?P<room>\w+) -->\n.*?^<!-- end -->$")
_ROOMS: Mapping[str, Sequence[Family]] = {
    "answers": family.ANSWERED,
    "now": family.NOW,
    "cache": family.CACHE,
}


def files() -> Iterator[tuple[Path, str]]:
    """The page, with its tables as the code has them."""
    yield PAGE, _METRICS.sub(_table, (_ROOT / PAGE).read_text())


def _table(found: re.Match[str]) -> str:
    lines = [f"<!-- the metrics of {found['room']} -->", "", "| metric | labels | |", "|---|---|---|"]
    lines += [_row(each) for each in _ROOMS[found["room"]]]
    return "\n".join([*lines, "", "<!-- end -->"])


def _row(each: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in each.labels)
    return f"| `{each.name}` ({each.kind}) | {labels} | {each.told} |"
