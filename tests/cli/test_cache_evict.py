"""`cache evict` of what is on disk, `clear` and `gc`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli.cached_home import QUOTA, CachedHome, furnish
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon

from erllama_cache.disk.index import Index
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.tier import DiskTier
from erllama_daemon.errors import EXIT_FAILED, EXIT_USAGE
from erllama_daemon.messages import ForgetRequest, Forgotten
from erllama_daemon.sessions.chats import read_chats


@pytest.fixture
def home() -> CachedHome:
    return furnish()


def json_of(run: Run, *arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    result: dict[str, Any] = msgspec.json.decode(done.stdout)
    return result


def test_a_dry_run_says_what_would_go_and_a_real_one_says_the_same_of_what_went(run: Run, home: CachedHome) -> None:
    before = home.keys
    would = run("cache", "evict", "--older-than", "0", "--dry-run").stdout
    assert would.startswith("3 chains would go: 5 blocks, ")
    assert home.keys == before
    assert run("cache", "evict", "--older-than", "0").stdout == would.replace("would go", "went")
    assert home.keys == set()
    assert run("cache", "evict", "--older-than", "0").stdout == "nothing went\n"


def test_the_blocks_that_only_one_chat_used_go_and_the_chat_stays(run: Run, home: CachedHome) -> None:
    report = json_of(run, "cache", "evict", "--session", home.llamas_id[:6])
    assert report == {
        "chains": 1,
        "blocks": 2,
        "bytes": sum(block.file_bytes for block in home.llamas),
        "dry_run": False,
    }
    assert home.keys == {home.system.key, home.rivers.key, home.alone.key}
    assert len(read_chats(home.directories.sessions)) == 2


def test_options_combine(run: Run, home: CachedHome) -> None:
    assert json_of(run, "cache", "evict", "--model", "b.gguf", "--key", home.system.key.hex())["blocks"] == 0
    assert json_of(run, "cache", "evict", "--model", "demo", "--bytes", "1", "--older-than", "0")["blocks"] == 1
    assert json_of(run, "cache", "evict", "--key", home.system.key.hex()[:12])["blocks"] == 3
    assert home.keys == {home.alone.key}
    assert json_of(run, "cache", "evict", "--older-than", "30d")["blocks"] == 0
    assert json_of(run, "cache", "evict", "--model", "b.gguf")["blocks"] == 1


def test_what_is_pinned_stays_with_all_that_it_extends(run: Run, home: CachedHome) -> None:
    run("cache", "pin", home.llamas_id)
    assert json_of(run, "cache", "evict", "--bytes", "1TiB")["blocks"] == 2
    assert home.keys == {home.system.key, *(block.key for block in home.llamas)}


def test_a_daemon_forgets_what_goes_and_nothing_for_a_dry_run(run: Run, home: CachedHome, fake: FakeDaemon) -> None:
    fake.reply = Forgotten(1, 1)
    run("cache", "evict", "--session", home.rivers_id, "--dry-run")
    assert fake.calls == []
    run("cache", "evict", "--session", home.rivers_id)
    assert fake.calls == [("/v1/cache/forget", ForgetRequest(keys=[home.rivers.key.hex()]))]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what is to go"),
        (["--dry-run"], "say what is to go"),
        (["demo", "--bytes", "1GiB"], "give only one"),
        (["demo", "--dry-run"], "give only one"),
        (["--bytes", "much"], "'much' is no size"),
        (["--older-than", "forever"], "nothing is older"),
        (["--older-than", "long"], "'long' is no duration"),
    ],
)
def test_nonsense_is_a_usage_error_that_says_so(run: Run, user_home: Path, arguments: list[str], said: str) -> None:
    done = run("cache", "evict", *arguments)
    assert (done.exit_code, done.stdout) == (EXIT_USAGE, "")
    assert said in done.stderr
    assert not list(user_home.rglob("erllama"))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("arguments", [["--session", "beef"], ["--key", "beef"]])
def test_what_is_not_there_is_named(run: Run, arguments: list[str]) -> None:
    done = run("cache", "evict", *arguments)
    assert done.exit_code == EXIT_FAILED
    assert "beef" in done.stderr


@pytest.mark.parametrize("command", [["evict", "--bytes", "1"], ["clear"], ["gc"], ["gc", "--dry-run"], ["verify"]])
def test_without_a_cache_nothing_goes_and_none_is_made(run: Run, user_home: Path, command: list[str]) -> None:
    assert run("cache", *command).exit_code == 0
    assert not list(user_home.rglob("erllama"))


def test_clear_leaves_what_is_pinned_and_then_nothing(run: Run, home: CachedHome, fake: FakeDaemon) -> None:
    fake.reply = Forgotten(1, 1)
    (home.directories.cache / "quarantine" / "1-old.kv").write_bytes(b"x")
    run("cache", "pin", home.rivers.key.hex()[:8])
    assert run("cache", "clear").stdout.startswith("2 chains went: 3 blocks")
    assert home.keys == {home.system.key, home.rivers.key}
    assert json_of(run, "cache", "clear", "--pinned")["blocks"] == 2
    assert home.keys == set()
    assert Pins(home.directories.cache).all() == set()
    assert not any((home.directories.cache / "quarantine").iterdir())
    assert ("/v1/cache/forget", ForgetRequest(everything=True)) in fake.calls
    assert len(read_chats(home.directories.sessions)) == 2


def test_clear_finds_files_that_the_index_lost(run: Run, home: CachedHome) -> None:
    index = Index(home.directories.cache / "index.sqlite3")
    index.delete([home.alone.key])
    index.close()
    assert json_of(run, "cache", "clear")["blocks"] == 5
    assert not [*home.directories.cache.rglob("*.kv")]


def test_after_clear_no_text_is_left_in_any_file_even_beside_a_daemon(run: Run, home: CachedHome) -> None:
    cache = home.directories.cache
    disk = DiskTier(cache, QUOTA)
    disk.open()
    disk.publish(replace(home.alone, tokens=b"told", label="47 wombats"))

    def holders() -> set[str]:
        return {path.suffix for path in cache.rglob("*") if path.is_file() and b"47 wombats" in path.read_bytes()}

    assert holders() == {".kv", ".sqlite3-wal"}
    assert run("cache", "clear").exit_code == 0
    assert holders() == set()
    disk.close()


def test_gc_says_what_would_go_and_what_went(run: Run, home: CachedHome) -> None:
    (home.directories.cache / "quarantine" / "1-old.kv").write_bytes(b"x" * 2048)
    index = Index(home.directories.cache / "index.sqlite3")
    index.delete([home.system.key])
    index.close()
    (home.directories.cache / "blocks" / home.system.key.hex()[:2] / f"{home.system.key.hex()}.kv").unlink()
    said = (
        "damaged files that were set aside: 1, 2.0 KiB\n"
        f"blocks whose chain has lost its beginning: 3, {3 * home.rivers.file_bytes / 1024:.1f} KiB\n"
    )
    assert run("cache", "gc", "--dry-run").stdout.startswith(said)
    assert home.keys != {home.alone.key}
    done = run("cache", "gc").stdout
    assert done.startswith(said)
    assert "room that was given back: " in done
    assert home.keys == {home.alone.key}
    assert json_of(run, "cache", "gc")["unreachable"] == {"count": 0, "bytes": 0}
    assert run("cache", "gc", "-q").stdout == ""
