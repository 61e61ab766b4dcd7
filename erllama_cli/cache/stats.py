"""`erllama cache stats`: what the cache holds and what it has done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from erllama_cli import options
from erllama_cli.client import Client
from erllama_cli.failures import reported_failures
from erllama_cli.output import Table, print_json, print_table, readable_bytes
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import ModelStatus

if TYPE_CHECKING:
    from erllama_cache.stats import StoreStats

EXAMPLES = """\b
Examples:
  erllama cache stats
  erllama cache stats --json | jq .tiers.disk.bytes"""


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
