from __future__ import annotations

from pathlib import Path

import msgspec
from cli.conftest import Run

from erllama_cache.stats import StoreStats


def test_stats_of_no_cache_start_no_daemon_and_create_nothing(run: Run, user_home: Path) -> None:
    before = sorted(user_home.rglob("*"))
    done = run("cache", "stats", "--json")
    assert done.exit_code == 0
    shown = msgspec.json.decode(done.stdout, type=StoreStats)
    assert shown.tiers.disk.rows == shown.tiers.ram.rows == 0
    assert shown.tiers.disk.quota_bytes > 0 < shown.tiers.ram.quota_bytes
    assert sorted(user_home.rglob("*")) == before


def test_stats_for_a_pipe_are_plain(run: Run) -> None:
    done = run("cache", "stats")
    assert "tier  blocks" in done.stdout
    assert "\x1b" not in done.stdout
