"""Who is let in at the doors, the key apart."""

from __future__ import annotations

import pytest
from daemon.hall import ANY_PORT, Hall, tell

from erllama_daemon.config import DaemonConfig, Hosts, Origins
from erllama_daemon.doors import unix

PAGE = "https://chat.example.org"


def test_on_tcp_only_this_machine_is_asked_for_whatever_leads_to_it() -> None:
    async def story(hall: Hall) -> None:
        port = hall.tcp.port
        own = ("localhost", "LOCALHOST", "127.0.0.1", "[::1]", "llama.example.org")
        for host in (*own, *(f"{name}:{port}" for name in own)):
            assert (await hall.ask(f"Host: {host}")).status == 200, host
        evil = (
            "evil.example.org",
            f"evil.example.org:{port}",
            "localhost.evil.example.org",
            "localhost@evil.example.org",
        )
        for host in (*evil, "evil.example.org#localhost", "::1", "[::1", "localhost:x", "10.0.0.1", "", "a:b:c"):
            found = await hall.ask(f"Host: {host}")
            assert (found.status, found.code) == (403, "host_refused"), host
        assert b" 403 " in (await hall.say("tcp", b"GET /echo HTTP/1.0\r\n\r\n")).splitlines()[0]
        assert (await hall.ask("Host: evil.example.org", path="http://localhost/echo")).status == 403
        assert (await hall.ask("Host: evil.example.org", door="unix")).status == 200

    tell(story, DaemonConfig(http=ANY_PORT, http_hosts=Hosts("llama.example.org")))


def test_a_web_page_is_refused_and_told_nothing_unless_its_origin_is_configured() -> None:
    async def story(hall: Hall) -> None:
        assert not [name for name in (await hall.ask()).headers if name.startswith("access-control")]
        for origin in ("https://evil.example.org", "null", PAGE, f"http://127.0.0.1:{hall.tcp.port}"):
            found = await hall.ask(f"Origin: {origin}")
            assert (found.status, found.code) == (403, "origin_refused"), origin
            assert not [name for name in found.headers if name.startswith("access-control")]
        assert (await hall.ask("Origin: https://evil.example.org", door="unix")).status == 200
        hall.doors.configure(DaemonConfig(http=ANY_PORT, http_cors_origins=Origins(PAGE)))
        assert (await hall.ask(f"Origin: {PAGE}")).headers["access-control-allow-origin"] == PAGE
        refused = await hall.ask(f"Origin: {PAGE}", "x-api-key: no")
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, PAGE)
        wanted = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
        asks_first = (*wanted, "x-api-key: no")
        allowed = await hall.ask(f"Origin: {PAGE}", *asks_first, method="OPTIONS")
        assert (allowed.status, allowed.headers["access-control-allow-headers"]) == (200, "authorization")
        assert (await hall.ask("Origin: https://evil.example.org", *asks_first, method="OPTIONS")).status == 403
        assert (await hall.ask(f"Origin: {PAGE}.evil.org")).status == 403

    tell(story)


def test_what_is_the_owners_alone_is_refused_on_tcp_with_the_key_too() -> None:
    async def story(hall: Hall) -> None:
        found = await hall.ask(path="/own")
        assert (found.status, found.code) == (403, "owner_only")
        assert (await hall.ask(path="/own", door="unix")).status == 200

    tell(story)


def test_whether_the_daemon_lives_is_told_without_a_key_but_not_to_foreign_pages_or_hosts() -> None:
    async def story(hall: Hall) -> None:
        assert (await hall.ask("x-api-key: no", path="/health")).status == 200
        assert (await hall.ask("x-api-key: no", path="/health", method="POST")).status == 401
        assert (await hall.ask("x-api-key: no", path="/health/x")).status == 401
        assert (await hall.ask("Host: evil.example.org", path="/health")).status == 403
        assert (await hall.ask("Origin: https://evil.example.org", path="/health")).status == 403

    tell(story)


def test_another_user_at_the_unix_socket_is_cut_off_before_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(hall: Hall) -> None:
        assert b" 200 " in await hall.say("unix", hall.head("Connection: close", "Content-Length: 0"))
        monkeypatch.setattr(unix, "_peer_uid", lambda _peer: 12345)
        assert await hall.say("unix", hall.head("Connection: close", "Content-Length: 0")) == b""
        assert hall.bodies == [0]

    tell(story)


def test_what_a_door_refuses_has_an_id_and_is_counted_too() -> None:
    async def story(hall: Hall) -> None:
        refused = await hall.ask("x-api-key: no", "X-Request-Id: mine")
        assert (refused.status, refused.headers["x-request-id"]) == (401, "mine")
        assert (await hall.ask("Host: evil.example.org")).headers["x-request-id"].startswith("req_")
        assert (await hall.ask()).headers["x-request-id"].startswith("req_")
        assert hall.statuses == [401, 403, 200]

    tell(story)
