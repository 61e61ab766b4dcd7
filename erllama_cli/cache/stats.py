"""`erllama cache stats`: what the cache holds and what it has done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.drawing.bar import bar, percent
from erllama_cli.failures import reported_failures
from erllama_cli.one_line import line_width
from erllama_cli.output import Table, counted, print_json, print_table, readable_bytes, readable_seconds

if TYPE_CHECKING:
    from erllama_cache.counters import Counters
    from erllama_cache.stats import StoreStats, TierStats
    from erllama_daemon.messages import ModelStatus

EXAMPLES = """\b
Examples:
  erllama cache stats
  erllama cache stats --json | jq .tiers.disk.bytes"""


_INDENT = 9
_LEAST_BAR, _LONGEST_BAR = 10, 40


def stats(
    counters: Annotated[bool, typer.Option("--counters", help="Show every counter too.")] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show how full both tiers are, and what they have done.

    Starts no daemon and creates nothing. The RAM tier is that of the models now loaded.
    """
    with reported_failures(as_json=as_json, debug=debug):
        shown = _read()
        if as_json:
            print_json(shown)
            return
        _print_stats(shown)
        if counters:
            print()
            _print_counters(shown)


def _read() -> StoreStats:
    # Imported here: only `stats` needs SQLite.
    import msgspec

    from erllama_cache.stats import TierStats, read_stats
    from erllama_cli.cache.this_machine import directories_here
    from erllama_cli.client import Client
    from erllama_cli.quotas import disk_bytes, quotas_in_force

    directories = directories_here()
    status = Client(directories).status()
    models: list[ModelStatus] = [] if status is None else status.models
    quotas = quotas_in_force(directories, status)
    stored = read_stats(
        directories.cache, disk_bytes(directories, quotas), write_bytes_per_day=quotas.write_bytes_per_day
    )
    ram = TierStats(
        rows=sum(model.ram_rows for model in models),
        bytes=sum(model.ram_bytes for model in models),
        quota_bytes=quotas.ram_bytes,
    )
    return msgspec.structs.replace(stored, tiers=msgspec.structs.replace(stored.tiers, ram=ram))


def _print_stats(shown: StoreStats) -> None:
    import textwrap

    print(shown.path)
    print()
    for name, tier in (("ram", shown.tiers.ram), ("disk", shown.tiers.disk)):
        print(_bar(name, tier))
    print()
    for name, fact in _facts(shown):
        print(textwrap.fill(fact, line_width(), initial_indent=name.ljust(_INDENT), subsequent_indent=" " * _INDENT))


def _print_counters(shown: StoreStats) -> None:
    import msgspec

    counts = [[name, f"{count:,}"] for name, count in msgspec.structs.asdict(shown.counters).items()]
    print_table(Table(("counter", "value"), counts, numeric=frozenset({"value"})))


def _bar(name: str, tier: TierStats) -> str:
    """How full a tier is; on a narrow terminal in two lines."""
    full = tier.bytes / tier.quota_bytes if tier.quota_bytes else 0.0
    width = max(_LEAST_BAR, min(_LONGEST_BAR, line_width() - _INDENT - len("[]  100 %")))
    held = f"{counted(tier.rows, 'block')}, {readable_bytes(tier.bytes)} of {readable_bytes(tier.quota_bytes)}"
    line = f"{name:<{_INDENT}}{bar(full, width)} {percent(full):>5}"
    fits = len(line) + 2 + len(held) <= line_width()
    return f"{line}  {held}" if fits else f"{line}\n{' ' * _INDENT}{held}"


def _facts(shown: StoreStats) -> Iterator[tuple[str, str]]:
    counters = shown.counters
    yield "hits", _hits(counters)
    yield "tokens", _tokens(counters)
    yield "saved", f"{readable_seconds(counters.saved_total_ns / 1e9)} of reading"
    allowed = "" if shown.write_bytes_per_day is None else f" of {readable_bytes(shown.write_bytes_per_day)} allowed"
    yield "written", f"{readable_bytes(shown.bytes_written_today)}{allowed} today"
    if shown.foreign_bytes:
        yield "foreign", f"{readable_bytes(shown.foreign_bytes)} of other files, which count as used"
    if counters.quarantined:
        yield "damaged", f"{counted(counters.quarantined, 'block')} set aside"
    if counters.saves_dropped:
        yield "dropped", f"{counted(counters.saves_dropped, 'block')} not saved"


def _hits(counters: Counters) -> str:
    hits = counters.hits_exact + counters.hits_resume + counters.hits_longest_prefix
    lookups = hits + counters.misses
    if not lookups:
        return "nothing was looked up yet"
    kinds = f"{counters.hits_exact:,} exact, {counters.hits_resume:,} resumed, {counters.hits_longest_prefix:,} in part"
    return f"{percent(hits / lookups)} of {counted(lookups, 'lookup')}: {kinds}, {counters.misses:,} missed"


def _tokens(counters: Counters) -> str:
    tokens = counters.tokens_reused + counters.tokens_prefilled
    if not tokens:
        return "none were read yet"
    reused = f"{percent(counters.tokens_reused / tokens)} reused"
    return f"{reused}: {counters.tokens_reused:,} from the cache, {counters.tokens_prefilled:,} read"
