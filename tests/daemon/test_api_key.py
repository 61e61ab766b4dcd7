from __future__ import annotations

import hmac
import logging
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from daemon.hall import Hall, tell

from erllama_daemon.api_key import ApiKey
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import ApiKeyUnusable


def new_key() -> ApiKey:
    return ApiKey(user_directories())


def test_a_key_is_made_once_however_many_need_it_in_a_file_for_its_owner_alone() -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = {*threads.map(lambda _: new_key().text(), range(16))}
    (key,) = keys
    path = new_key().path
    assert key.startswith("erllama-") and len(key) > 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["api_key"]


def test_a_new_key_takes_the_place_of_the_old_one_for_a_daemon_that_runs() -> None:
    kept = new_key()
    old = kept.text()
    assert kept.agrees(old) and not kept.agrees(old[:-1]) and not kept.agrees("")
    new = new_key().rotate()
    assert new != old
    assert kept.agrees(new) and not kept.agrees(old)


def test_without_a_file_no_key_agrees() -> None:
    kept = new_key()
    assert not kept.agrees("")
    old = kept.text()
    kept.path.unlink()
    assert not kept.agrees(old)


def test_keys_are_compared_in_constant_time_and_of_one_length(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = new_key()
    key, compared = kept.text(), []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert kept.agrees(key) and not kept.agrees("short") and not kept.agrees("l" * 999)
    assert compared == [(32, 32)] * 3


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_key_that_others_can_read_or_change_opens_nothing(mode: int) -> None:
    kept = new_key()
    key = kept.text()
    kept.path.chmod(mode)
    with pytest.raises(ApiKeyUnusable, match="others than its owner"):
        kept.agrees(key)
    with pytest.raises(ApiKeyUnusable):
        new_key().text()


@pytest.mark.parametrize("content", ["", "short", "two words that are long enough"])
def test_what_is_no_key_is_named(content: str) -> None:
    kept = new_key()
    kept.text()
    kept.path.write_text(content)
    with pytest.raises(ApiKeyUnusable, match="16 to 512 characters"):
        kept.text()
    assert kept.agrees(kept.rotate())


def test_a_link_is_no_key() -> None:
    kept = new_key()
    kept.text()
    other = kept.path.with_name("other")
    kept.path.rename(other)
    kept.path.symlink_to(other)
    with pytest.raises(ApiKeyUnusable):
        kept.text()


def test_on_tcp_every_request_needs_the_key_and_on_the_unix_socket_none(caplog: pytest.LogCaptureFixture) -> None:
    async def story(hall: Hall) -> None:
        key = hall.key.text()
        for header in (f"Authorization: Bearer {key}", f"authorization: bearer {key}", f"x-api-key: {key}"):
            assert (await hall.ask(header)).status == 200
        for header in ("Authorization: Basic abc", f"Authorization: {key}", "Authorization:"):
            found = await hall.ask(header, f"Cookie: key={key}")
            assert (found.status, found.code) == (401, "api_key_missing"), header
            assert found.headers["www-authenticate"] == "Bearer"
        for header in ("x-api-key: no", "x-api-key:", f"x-api-key: {key}x", f"Authorization: Bearer {key[:-1]}"):
            found = await hall.ask(header)
            assert (found.status, found.code) == (401, "api_key_wrong"), header
        nowhere = await hall.ask("x-api-key: no", path="/nowhere")
        assert nowhere.status == 401
        assert (await hall.ask("x-api-key: no", door="unix")).status == 200
        hall.key.rotate()
        assert (await hall.ask(f"x-api-key: {key}")).status == 401
        new = hall.key.text()
        hall.key.path.chmod(0o644)
        assert (await hall.ask(f"x-api-key: {new}")).code == "api_key_wrong"
        assert key not in caplog.text and new not in caplog.text

    with caplog.at_level(logging.DEBUG):
        tell(story)
    assert "code=api_key_wrong client=127.0.0.1" in caplog.text
