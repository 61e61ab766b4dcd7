"""`cache verify`, `pin` and `unpin`."""

from __future__ import annotations

import msgspec
import pytest
from cli.cached_home import CachedHome, furnish
from cli.conftest import Run

from erllama_cache.disk.files import BlockFiles
from erllama_cache.disk.pins import Pins
from erllama_cli.cache import pin_report, verify
from erllama_cli.cache.names import find_named
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_FAILED, NameAmbiguous, NameUnknown
from erllama_daemon.sessions.chats import Chat


@pytest.fixture
def home() -> CachedHome:
    return furnish()


def flip(home: CachedHome, *keys: bytes) -> None:
    for key in keys:
        path = BlockFiles(home.directories.cache).path(key)
        path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.usefixtures("home")
def test_a_sound_cache_is_clean(run: Run) -> None:
    done = run("cache", "verify")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("5 sound blocks, ")
    assert done.stdout.endswith(" read: clean\n")
    assert msgspec.json.decode(run("cache", "verify", "--json").stdout)["blocks"] == 5


def test_damage_is_named_and_fails_until_it_is_repaired(run: Run, home: CachedHome) -> None:
    flip(home, home.llamas[0].key)
    done = run("cache", "verify")
    assert done.exit_code == EXIT_FAILED
    assert f"damaged: {BlockFiles(home.directories.cache).path(home.llamas[0].key)}: " in done.stdout
    assert "1 block unreachable" in done.stdout
    assert "verify --repair" in done.stderr
    assert run("cache", "verify", "-q").stdout == ""
    shown = run("cache", "verify", "--json")
    assert shown.exit_code == EXIT_FAILED
    assert len(msgspec.json.decode(shown.stdout)["damaged"]) == 1
    assert run("cache", "verify", "--repair").stdout.endswith("repaired\n")
    assert run("cache", "verify").exit_code == 0


def test_of_much_damage_only_the_first_is_named(run: Run, home: CachedHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SHOWN", 1)
    flip(home, home.alone.key, home.rivers.key, home.llamas[1].key)
    said = run("cache", "verify").stdout
    assert said.count("/blocks/") == 1
    assert "damaged: 2 more files\n" in said


def test_a_chat_is_pinned_up_to_where_it_is_now(run: Run, home: CachedHome) -> None:
    done = run("cache", "pin", home.llamas_id[:5], home.alone.key.hex()[:10])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("pinned: 2 chains; 4 blocks, ")
    assert {row.key for row in home.cached.rows.values() if row.is_pinned} == {home.llamas[1].key, home.alone.key}

    report = msgspec.json.decode(run("cache", "unpin", home.llamas_id, "--json").stdout)
    assert report["keys"] == [home.llamas[1].key.hex()]
    assert report["pinned_blocks"] == 1
    assert run("cache", "unpin", home.llamas_id).stdout.startswith("unpinned: 0 chains; 1 block, ")
    run("cache", "unpin", home.alone.key.hex())
    assert Pins(home.directories.cache).all() == set()
    assert not any(row.is_pinned for row in home.cached.rows.values())


def test_of_a_chat_whose_end_is_gone_what_is_left_is_pinned(run: Run, home: CachedHome) -> None:
    run("cache", "evict", "--key", home.llamas[1].key.hex())
    report = msgspec.json.decode(run("cache", "pin", home.llamas_id, "--json").stdout)
    assert report["keys"] == [home.llamas[0].key.hex()]
    run("cache", "clear", "--pinned")
    done = run("cache", "pin", home.llamas_id)
    assert done.exit_code == EXIT_FAILED
    assert "Nothing of the conversation" in done.stderr


def test_a_pin_on_more_than_half_of_the_quota_is_warned_of(
    run: Run, home: CachedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pin_report, "disk_quota", lambda _directories: 2 * home.alone.file_bytes - 1)
    done = run("cache", "pin", home.alone.key.hex())
    assert done.exit_code == 0
    assert done.stderr.startswith("More than half of the cache is pinned now, ")
    assert run("cache", "pin", "-q", home.alone.key.hex()).stderr == ""


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("command", ["pin", "unpin"])
def test_a_name_of_nothing_is_named(run: Run, command: str) -> None:
    done = run("cache", command, "zz")
    assert done.exit_code == EXIT_FAILED
    assert "neither a conversation nor a block zz" in done.stderr


def test_a_name_of_two_things_names_none_unless_it_is_a_whole_id() -> None:
    chats = [chat(name) for name in ("abcd", "abce", "ab")]
    keys = {bytes.fromhex("abcd" + "00" * 30), bytes.fromhex("abff" + "00" * 30)}
    for name in ("abc", "a"):
        with pytest.raises(NameAmbiguous):
            find_named(name, chats, keys)
    with pytest.raises(NameUnknown):
        find_named("", chats, keys)
    assert find_named("abcd", chats, keys) == chats[0]
    assert find_named("ab", chats, keys) == chats[2]
    assert find_named("ABF", chats, keys) == bytes.fromhex("abff" + "00" * 30)


def chat(name: str) -> Chat:
    return Chat(id=name, name=None, title="Llamas", model="demo", updated=1.0, turns=0, keys=[], left_keys=[])


@pytest.mark.parametrize("command", ["stats", "ls", "tree", "verify"])
def test_a_file_in_the_place_of_the_cache_is_named(run: Run, command: str) -> None:
    user_directories().cache.write_text("in the way")
    done = run("cache", command)
    assert done.exit_code == EXIT_FAILED
    assert "it is not a directory" in done.stderr
