from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, model_status
from cli.made_up_cache import MadeUpCache, made_up_cache

from erllama_cache.counters import today
from erllama_cache.stats import StoreStats
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import Quotas

MIB = 1 << 20


@pytest.fixture(autouse=True)
def quotas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotas that do not depend on the machine: 100 MiB of memory, 8 MiB of disk."""
    monkeypatch.setattr("erllama_cache.quotas.default_ram_bytes", lambda: 100 * MIB)
    monkeypatch.setattr("erllama_cli.quotas.default_disk_bytes", lambda _directory: 8 * MIB)


@pytest.fixture
def cache() -> Iterator[MadeUpCache]:
    with made_up_cache() as made_up:
        yield made_up


def busy(cache: MadeUpCache) -> None:
    for number in range(4):
        cache.block(str(number), 256, kib=512)
    cache.index.add_counters(
        {
            "hits_exact": 1,
            "hits_resume": 20,
            "hits_longest_prefix": 1300,
            "misses": 44,
            "tokens_reused": 120_000,
            "tokens_prefilled": 30_000,
            "saved_total_ns": 7_830 * 10**9,
        }
    )
    cache.index.add_written(today(), 5 * MIB)


def test_stats_of_no_cache_start_no_daemon_and_create_nothing(run: Run, user_home: Path) -> None:
    before = sorted(user_home.rglob("*"))
    done = run("cache", "stats", "--json")
    assert done.exit_code == 0
    shown = msgspec.json.decode(done.stdout, type=StoreStats)
    assert shown.tiers.disk.rows == shown.tiers.ram.rows == 0
    assert shown.tiers.disk.quota_bytes > 0 < shown.tiers.ram.quota_bytes
    assert sorted(user_home.rglob("*")) == before


def test_stats_of_no_cache_say_so(run: Run, user_home: Path) -> None:
    assert run("cache", "stats").stdout == (
        f"{user_home}/cache/erllama\n"
        "\n"
        "ram      [----------------------------------------]   0 %  0 blocks, 0 B of 100.0 MiB\n"
        "disk     [----------------------------------------]   0 %  0 blocks, 0 B of 8.0 MiB\n"
        "\n"
        "hits     nothing was looked up yet\n"
        "tokens   none were read yet\n"
        "saved    0 s of reading\n"
        "written  0 B today\n"
    )


def test_stats_show_how_full_the_tiers_are_and_what_they_saved(run: Run, cache: MadeUpCache) -> None:
    busy(cache)
    assert run("cache", "stats").stdout.splitlines()[2:] == [
        "ram      [----------------------------------------]   0 %  0 blocks, 0 B of 100.0 MiB",
        "disk     [##########------------------------------]  25 %  4 blocks, 2.0 MiB of 8.0 MiB",
        "",
        "hits     97 % of 1,365 lookups: 1 exact, 20 resumed, 1,300 in part, 44 missed",
        "tokens   80 % reused: 120,000 from the cache, 30,000 read",
        "saved    2 h 10 min of reading",
        "written  5.0 MiB today",
    ]


def test_the_ram_tier_is_that_of_the_loaded_models(run: Run, fake: FakeDaemon) -> None:
    loaded = model_status()
    fake.loaded = [
        msgspec.structs.replace(loaded, ram_rows=n, ram_bytes=MIB, ram_quota_bytes=256 * MIB) for n in (1, 2)
    ]
    fake.quotas = Quotas(ram_bytes=512 * MIB)
    line = run("cache", "stats").stdout.splitlines()[2]
    assert line == "ram      [#---------------------------------------]  <1 %  3 blocks, 2.0 MiB of 512.0 MiB"


def test_what_went_wrong_is_shown_only_if_something_did(run: Run, cache: MadeUpCache) -> None:
    cache.index.add_counters({"quarantined": 1, "saves_dropped": 3})
    (user_directories().cache / "notes.txt").write_bytes(b"x" * 2048)
    assert run("cache", "stats").stdout.splitlines()[-3:] == [
        "foreign  2.0 KiB of other files, which count as used",
        "damaged  1 block set aside",
        "dropped  3 blocks not saved",
    ]


def test_stats_fit_a_narrow_terminal(run: Run, cache: MadeUpCache, monkeypatch: pytest.MonkeyPatch) -> None:
    busy(cache)
    monkeypatch.setenv("COLUMNS", "40")
    assert run("cache", "stats").stdout.splitlines()[4:9] == [
        "disk     [######----------------]  25 %",
        "         4 blocks, 2.0 MiB of 8.0 MiB",
        "",
        "hits     97 % of 1,365 lookups: 1 exact,",
        "         20 resumed, 1,300 in part, 44",
    ]


def test_every_counter_is_shown_on_demand(run: Run, cache: MadeUpCache) -> None:
    busy(cache)
    counters = run("cache", "stats", "--counters").stdout.partition("counter ")[2]
    assert "hits_longest_prefix              1,300\n" in counters
    assert "counter" not in run("cache", "stats").stdout
