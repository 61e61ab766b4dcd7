"""What a daemon says of its version, and that it gives way to another only when nobody would miss it."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from daemon.living import Living, living, until

from erllama_daemon import __version__
from erllama_daemon.directories import user_directories
from erllama_daemon.life.listener import prepare_folder
from erllama_daemon.life.version import announced_version


async def head_of(alive: Living, request: str) -> str:
    reader, writer = await asyncio.open_unix_connection(alive.listener.path)
    writer.write(f"{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    return head


def test_every_response_says_the_version() -> None:
    async def story() -> None:
        async with living() as alive:
            for request in ("GET /v1/status", "GET /nowhere", "POST /v1/complete", "POST /v1/stop"):
                assert f"erllama-version: {__version__}\r\n" in await head_of(alive, request)

    asyncio.run(asyncio.wait_for(story(), 60))


def test_the_version_and_the_folders_stand_beside_the_socket_for_its_owner_until_the_daemons_end() -> None:
    directories = user_directories()
    prepare_folder(directories)
    file = directories.version_file
    file.write_text("of one that was killed\n")
    file.with_name(f"{file.name}.new").write_text("half")
    with announced_version(directories):
        assert file.read_text() == f"{__version__}\n{directories.cache}\n{directories.data}\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == []


def test_a_version_that_cannot_be_written_is_no_reason_not_to_run(
    caplog: pytest.LogCaptureFixture, user_home: Path
) -> None:
    assert not user_directories().runtime.exists()
    with announced_version(user_directories()):
        pass
    assert "the version cannot be written beside the socket: " in caplog.text
    assert not list(user_home.rglob("*.version*"))


def test_a_daemon_gives_way_when_it_is_idle_even_with_a_model() -> None:
    async def story() -> None:
        async with living() as alive:
            model = alive.model()
            await alive.say(model, "hello")
            assert (await alive.ask("POST", "/v1/stop?if=idle"))[0] == 202
            await alive.end
            assert len(alive.seen(model, "Shutdown")) == 1

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_daemon_that_is_asked_something_does_not_give_way_and_goes_on() -> None:
    async def story() -> None:
        async with living() as alive:
            model = alive.model()
            asked = alive.say(model, "hang")
            await until(lambda: bool(alive.seen(model, "Generate")))
            status, failure = await alive.ask("POST", "/v1/stop?if=idle")
            assert (status, failure["code"]) == (409, "daemon_in_use")
            assert "it is being asked something" in failure["message"]
            assert not (await alive.status())["draining"]
            assert (await alive.ask("POST", "/v1/stop"))[0] == 202
            assert (await asked)[-1]["event"] == "done"

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("keep_alive_s", [-1, None])
def test_what_somebody_has_made_of_a_model_keeps_its_daemon(keep_alive_s: int | None) -> None:
    async def story() -> None:
        async with living() as alive:
            model = alive.model()
            if keep_alive_s is None:
                adapter = Path(model).with_name("x.gguf")
                adapter.write_bytes(b"GGUF")
                await alive.ask("POST", "/v1/adapters/load", {"model": model, "adapter": str(adapter)})
                assert (await alive.ask("POST", "/v1/models/unload", {"model": model}))[
                    0
                ] == 200  # which forgets no adapter
            else:
                await alive.ask("POST", "/v1/models/load", {"model": model, "options": {"keep_alive_s": keep_alive_s}})
            status, failure = await alive.ask("POST", "/v1/stop?if=idle")
            assert (status, failure["code"]) == (409, "daemon_in_use")
            wanted = "a model has adapters attached" if keep_alive_s is None else "a model is loaded for ever"
            assert wanted in failure["message"]

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_private_conversation_keeps_its_daemon() -> None:
    async def story() -> None:
        async with living() as alive:
            _, session = await alive.ask("POST", "/v1/sessions", {"model": alive.model(), "private": True})
            status, failure = await alive.ask("POST", "/v1/stop?if=idle")
            assert (status, failure["code"]) == (409, "daemon_in_use")
            await alive.ask("DELETE", f"/v1/sessions/{session['id']}")
            assert (await alive.ask("POST", "/v1/stop?if=idle"))[0] == 202

    asyncio.run(asyncio.wait_for(story(), 60))
