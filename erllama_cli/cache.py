"""`erllama cache`: what the cache holds and what it has done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import typer

from erllama_cli import options
from erllama_cli.client import Client
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, model_name
from erllama_cli.output import Table, print_json, print_table, readable_bytes
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import Evicted, ModelRequest, ModelStatus

if TYPE_CHECKING:
    from erllama_cache.stats import StoreStats

app = typer.Typer(
    help="Look into the cache, and tend it.",
    epilog="\b\nExamples:\n  erllama cache stats\n  erllama cache evict demo",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _cache() -> None:
    """Look into the cache, and tend it."""


@app.command(epilog="\b\nExamples:\n  erllama cache stats\n  erllama cache stats --json | jq .tiers.disk.bytes")
def stats(as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Show how full both tiers are, and what they have done.

    Starts no daemon and creates nothing. The RAM tier is that of the models now loaded.
    """
    with reported_failures(as_json=as_json, debug=debug):
        shown = _read()
        if as_json:
            print_json(shown)
        else:
            _print_stats(shown)


@app.command(epilog="\b\nExamples:\n  erllama cache evict demo\n  erllama cache evict demo --json | jq .saved")
def evict(
    model: ModelArgument, as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """Save what a model holds live and let it go; the model stays loaded.

    Returns when everything is in the cache. Starts no daemon: without one, nothing is live.
    """
    with reported_failures(as_json=as_json, debug=debug):
        client = Client(user_directories())
        request = ModelRequest(model=model_name(model))
        evicted = client.evict(request) if client.answers() else Evicted(sequences=0, saved=0)
        if as_json:
            print_json(evicted)
        elif not quiet:
            print(f"sequences let go: {evicted.sequences:,}, blocks saved: {evicted.saved:,}")


def _read() -> StoreStats:
    # Imported here: only `stats` needs SQLite.
    from erllama_cache.quotas import default_disk_bytes, default_ram_bytes
    from erllama_cache.stats import TierStats, read_stats

    directories = user_directories()
    status = Client(directories).status()
    models: list[ModelStatus] = [] if status is None else status.models
    stored = read_stats(directories.cache, default_disk_bytes(directories.cache))
    ram = TierStats(
        rows=sum(model.ram_rows for model in models),
        bytes=sum(model.ram_bytes for model in models),
        quota_bytes=sum(model.ram_quota_bytes for model in models) or default_ram_bytes(),
    )
    return msgspec.structs.replace(stored, tiers=msgspec.structs.replace(stored.tiers, ram=ram))


def _print_stats(shown: StoreStats) -> None:
    print(shown.path)
    tiers = [
        [name, f"{tier.rows:,}", readable_bytes(tier.bytes), readable_bytes(tier.quota_bytes)]
        for name, tier in (("ram", shown.tiers.ram), ("disk", shown.tiers.disk))
    ]
    print_table(Table(("tier", "blocks", "size", "quota"), tiers, numeric=frozenset({"blocks", "size", "quota"})))
    print()
    counts = [[name, f"{count:,}"] for name, count in msgspec.structs.asdict(shown.counters).items()]
    print_table(Table(("counter", "value"), counts, numeric=frozenset({"value"})))
