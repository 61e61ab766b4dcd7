"""What is shown of a daemon at work: lines and tables, for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from erllama_cli.drawing.bar import bar, percent
from erllama_cli.model import short_name
from erllama_cli.output import Table, counted, readable_bytes, readable_seconds
from erllama_daemon.messages import Activity, LastMinute, RunningRequest, TierRoom

MODELS = ("model", "state", "running", "waiting", "tok/s", "memory", "ram cache")
REQUESTS = ("id", "model", "state", "prompt", "cached", "generated", "tok/s", "age", "client")
_NUMBERS = frozenset(
    {"id", "running", "waiting", "tok/s", "memory", "ram cache", "prompt", "cached", "generated", "age"}
)
_SPARE = {
    "ram cache": 80,
    "client": 80,
    "cached": 64,
    "memory": 64,
    "age": 64,
    "generated": 56,
    "running": 48,
    "id": 48,
}
"""Columns that a narrower screen leaves out."""

_INDENT = 6
_LEAST_BAR, _LONGEST_BAR = 10, 40


def headline(shown: Activity) -> str:
    """What runs, and for how long."""
    answers = counted(len(shown.requests), "request")
    return f"erllama {shown.version}, up {readable_seconds(shown.uptime_s)}, {answers} under way"


def cache_lines(shown: Activity, width: int) -> Iterator[str]:
    """How full both tiers are, and what the last minute's answers took from them."""
    yield _tier("ram", shown.ram, width)
    if shown.disk is not None:
        yield _tier("disk", shown.disk, width)
    yield f"{'hits':<{_INDENT}}{_hits(shown.last_minute)}"
    yield f"{'reuse':<{_INDENT}}{_reuse(shown.last_minute)}"


def models(shown: Activity, rate: Mapping[int, float]) -> Table:
    """A row for each model that is loaded, or being loaded."""
    rows = []
    for model in shown.models:
        speed = sum(rate[each.id] for each in shown.requests if each.model == model.id)
        rows.append(
            [
                short_name(model.id),
                model.status,
                f"{model.running}/{model.parallel}",
                f"{model.queue_depth:,}",
                f"{speed:.1f}",
                readable_bytes(model.resident_bytes),
                f"{readable_bytes(model.ram_bytes)}/{readable_bytes(model.ram_quota_bytes)}",
            ]
        )
    return Table(MODELS, rows, numeric=_NUMBERS)


def requests(shown: Activity, rate: Mapping[int, float]) -> Table:
    """A row for each answer that is under way."""
    rows = [_request(each, rate[each.id]) for each in shown.requests]
    return Table(REQUESTS, rows, numeric=_NUMBERS)


def fitting(table: Table, width: int) -> Table:
    """The table without the columns that a screen of this width has no room for."""
    kept = [index for index, name in enumerate(table.header) if width >= _SPARE.get(name, 0)]
    return Table([table.header[index] for index in kept], [[row[i] for i in kept] for row in table.rows], table.numeric)


def _request(request: RunningRequest, speed: float) -> list[str]:
    is_reading = request.state == "prefilling" and request.read_tokens < request.prompt_tokens
    return [
        str(request.id),
        short_name(request.model),
        f"{request.state} ({request.ahead} ahead)" if request.ahead else request.state,
        f"{request.read_tokens:,}/{request.prompt_tokens:,}" if is_reading else f"{request.prompt_tokens:,}",
        f"{request.cached_tokens:,}",
        f"{request.generated_tokens:,}",
        f"{speed:.1f}",
        readable_seconds(request.age_s),
        request.client,
    ]


def _tier(name: str, room: TierRoom, width: int) -> str:
    full = room.bytes / room.quota_bytes if room.quota_bytes else 0.0
    held = f"{readable_bytes(room.bytes)} of {readable_bytes(room.quota_bytes)}"
    begin, end = f"{name:<{_INDENT}}", f" {percent(full):>5}"
    columns = min(_LONGEST_BAR, width - len(begin) - len(end) - len("[]  ") - len(held))
    if columns >= _LEAST_BAR:
        return f"{begin}{bar(full, columns)}{end}  {held}"
    return f"{begin}{percent(full)}, {held}"


def _hits(minute: LastMinute) -> str:
    looked = minute.exact + minute.partial + minute.cold
    if not looked:
        return "no answer in the last minute"
    kinds = f"{minute.exact:,} exact, {minute.partial:,} in part, {minute.cold:,} cold"
    return f"{percent((minute.exact + minute.partial) / looked)} in the last minute: {kinds}"


def _reuse(minute: LastMinute) -> str:
    tokens = minute.reused_tokens + minute.read_tokens
    if not tokens:
        return "no token was read"
    reused = f"{percent(minute.reused_tokens / tokens)} of {counted(tokens, 'token')}"
    return f"{reused}; {minute.generated_tokens:,} generated"
