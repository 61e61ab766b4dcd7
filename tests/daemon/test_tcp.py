"""Where the daemon listens on TCP, its TLS, and what of it a reload changes; a whole daemon, over fake workers."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from daemon.hall import ANY_PORT, TLS, Answer, Hall, tell
from daemon.living import Living, living

from erllama_daemon.api_key import ApiKey
from erllama_daemon.config import Address, Config, DaemonConfig, Folders, Hosts, Origins
from erllama_daemon.directories import user_directories
from erllama_daemon.doors.tcp import open_tcp
from erllama_daemon.errors import HttpAddressTaken, HttpAddressUnusable, HttpNeedsTls, TlsUnusable
from erllama_daemon.life.reload import differences
from erllama_daemon.messages import Reloaded

CERT, KEY = str(TLS / "cert.pem"), str(TLS / "key.pem")


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.7:8080", "example.org:80"])
def test_an_address_that_others_reach_is_refused_without_tls_before_anything_listens(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    with pytest.raises(HttpNeedsTls):
        open_tcp(DaemonConfig(http=Address(address)))


def test_localhost_is_refused_where_it_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: elsewhere)
    with pytest.raises(HttpNeedsTls):
        open_tcp(DaemonConfig(http=Address("localhost:0")))


def test_a_port_that_is_taken_and_an_address_of_another_machine_are_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(HttpAddressTaken):
        open_tcp(DaemonConfig(http=Address(f"127.0.0.1:{taken.getsockname()[1]}")))
    with pytest.raises(HttpAddressUnusable, match="cannot assign"):
        open_tcp(DaemonConfig(http=Address("192.0.2.7:0"), http_tls_cert=CERT, http_tls_key=KEY))


@pytest.mark.parametrize(
    ("cert", "key", "reason"),
    [
        (CERT, None, "only one of them"),
        (None, KEY, "only one of them"),
        ("/nowhere.pem", KEY, "no such file"),
        (CERT, CERT, "no start line|pem"),
        (CERT, str(TLS / "locked_key.pem"), "password"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(cert: str | None, key: str | None, reason: str) -> None:
    with pytest.raises(TlsUnusable, match=reason):
        open_tcp(DaemonConfig(http=ANY_PORT, http_tls_cert=cert, http_tls_key=key))


def test_with_a_certificate_tls_is_spoken_at_any_address_and_nothing_else(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        shutil.copy(TLS / name, tmp_path)
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    config = DaemonConfig(http=Address("0.0.0.0:0"), http_tls_cert=cert, http_tls_key=key)

    async def story(hall: Hall) -> None:
        assert hall.tcp.url.startswith("https://0.0.0.0:")
        trusting = ssl.create_default_context(cafile=CERT)
        raw = hall.head("Content-Length: 0", "Connection: close")
        assert Answer.of(await hall.say("tcp", raw, trusting)).status == 200
        assert b"HTTP" not in await hall.say("tcp", raw)
        Path(cert).write_text("no certificate")
        hall.doors.configure(config)  # it is told in the log, and the old one serves on
        assert Answer.of(await hall.say("tcp", raw, trusting)).status == 200

    tell(story, config)


def test_without_the_option_nothing_listens_and_no_key_is_made() -> None:
    async def story() -> None:
        async with living() as alive:
            assert (await alive.status())["url"] is None
            assert not ApiKey(alive.directories).path.exists()

    asyncio.run(story())


async def on_tcp(url: str, head: str, body: object = None) -> Answer:
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    payload = b"" if body is None else json.dumps(body).encode()
    lines = f"{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(payload)}\r\n\r\n"
    writer.write(lines.encode() + payload)
    raw = await reader.read()
    writer.close()
    return Answer.of(raw)


def test_a_daemon_tells_its_url_serves_no_endpoint_of_its_owner_there_and_takes_on_what_is_reloaded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        async with living(Config(daemon=DaemonConfig(http=ANY_PORT))) as alive:
            url, key = (await alive.status())["url"], ApiKey(alive.directories).text()
            let_in = f"HTTP/1.1\r\nx-api-key: {key}"
            for head, body in OWNERS.items():
                found = await on_tcp(url, f"{head} {let_in}", body)
                assert (found.status, found.code) == (403, "owner_only"), head
            assert (await on_tcp(url, f"GET /v1/status {let_in}\r\nOrigin: http://page")).code == "origin_refused"
            alive.config = Config(daemon=DaemonConfig(http=ANY_PORT, http_cors_origins=Origins("http://page")))
            assert (await alive.ask("POST", "/v1/reload"))[1]["changed"] == ["daemon.http_cors_origins"]
            assert (await on_tcp(url, f"GET /v1/status {let_in}\r\nOrigin: http://page")).code == "owner_only"
            await _ends_with_its_door(alive, url)
        assert key not in caplog.text

    with caplog.at_level(logging.DEBUG):
        asyncio.run(asyncio.wait_for(story(), 60))
    assert "url=http://127.0.0.1:" in caplog.text


OWNERS: dict[str, Any] = {
    "GET /v1/status": None,
    "GET /v1/config": None,
    "POST /v1/stop": None,
    "POST /v1/reload": None,
    "POST /v1/complete": {"model": "/etc/passwd", "messages": [{"role": "user", "parts": ["Hum."]}]},
    "POST /v1/cache/forget": {"everything": True},
    "POST /v1/adapters/load": {"model": "demo", "adapter": "/etc/passwd"},
    "GET /v1/sessions": None,
    "DELETE /v1/sessions/0": None,
}


async def _ends_with_its_door(alive: Living, url: str) -> None:
    assert await alive.ask("POST", "/v1/stop") == [202]
    await alive.end
    with pytest.raises(ConnectionError):
        await on_tcp(url, "GET / HTTP/1.1")


def test_where_it_listens_takes_a_restart_and_who_may_ask_does_not() -> None:
    changed = DaemonConfig(http=ANY_PORT, http_tls_cert="/c", http_tls_key="/k", http_hosts=Hosts("a"), connections=3)
    found = differences(Config(), Config(daemon=changed))
    assert found == Reloaded(
        ["daemon.connections", "daemon.http_hosts"], ["daemon.http", "daemon.http_tls_cert", "daemon.http_tls_key"]
    )


def test_the_apis_for_clients_are_served_with_the_key_and_refuse_in_their_own_words() -> None:
    async def story() -> None:
        async with living(Config(daemon=DaemonConfig(http=ANY_PORT))) as alive:
            url, key = (await alive.status())["url"], ApiKey(alive.directories).text()
            let_in = f"HTTP/1.1\r\nAuthorization: Bearer {key}"
            assert (await on_tcp(url, f"GET /v1/models {let_in}")).status == 200
            refused = await on_tcp(url, "GET /v1/models HTTP/1.1")
            assert (refused.status, json.loads(refused.body)["error"]["code"]) == (401, "invalid_api_key")
            asked = {"model": alive.model(), "messages": [{"role": "user", "content": "Hum."}]}
            outside = await on_tcp(url, f"POST /v1/chat/completions {let_in}", asked)
            assert (outside.status, json.loads(outside.body)["error"]["code"]) == (403, "file_outside")
            folder = str(alive.directories.runtime)
            alive.config = Config(daemon=DaemonConfig(http=ANY_PORT, http_model_folders=Folders(folder)))
            await alive.ask("POST", "/v1/reload")
            answered = await on_tcp(url, f"POST /v1/chat/completions {let_in}", asked)
            assert json.loads(answered.body)["choices"][0]["message"]["content"] == "Hum."

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize(
    "owners", [{"session": "mine"}, {"options": {"fingerprint_mode": "fast_unsafe", "fingerprint": "ab" * 32}}]
)
def test_what_is_the_owners_cannot_be_had_on_tcp_as_a_field_of_an_api_for_clients(owners: dict[str, Any]) -> None:
    async def story() -> None:
        folder = Folders(str(user_directories().runtime))
        async with living(Config(daemon=DaemonConfig(http=ANY_PORT, http_model_folders=folder))) as alive:
            url, key, model = (await alive.status())["url"], ApiKey(alive.directories).text(), alive.model()
            await alive.ask("POST", "/v1/sessions", {"model": model, "name": "mine"})
            asked = {"model": model, "messages": [{"role": "user", "content": "Hum."}], "erllama": owners}
            found = await on_tcp(url, f"POST /v1/chat/completions HTTP/1.1\r\nx-api-key: {key}", asked)
            assert (found.status, json.loads(found.body)["error"]["code"]) == (403, "owner_only")
            assert alive.seen(model, "generate") == []
            assert (await alive.ask("POST", "/v1/chat/completions", asked))[0] == 200

    asyncio.run(asyncio.wait_for(story(), 60))


def test_half_a_renewed_certificate_leaves_the_old_one_in_use(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem", "other_cert.pem"):
        shutil.copy(TLS / name, tmp_path)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    config = DaemonConfig(http=ANY_PORT, http_tls_cert=str(cert), http_tls_key=str(key))

    async def story(hall: Hall) -> None:
        trusting = ssl.create_default_context(cafile=CERT)
        (tmp_path / "other_cert.pem").replace(cert)  # its key is still to come
        hall.doors.configure(config)
        raw = hall.head("Content-Length: 0", "Connection: close")
        assert Answer.of(await hall.say("tcp", raw, trusting)).status == 200

    tell(story, config)
