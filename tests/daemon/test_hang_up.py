from __future__ import annotations

import asyncio

import pytest
from daemon.application import Daemon, Tell, tell_in
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from erllama_daemon.http.hang_up import unless_gone


@pytest.fixture
def tell(tmp_path: object) -> Tell:
    return tell_in(tmp_path)  # type: ignore[arg-type]


def asked_by(gone: asyncio.Event) -> Request:
    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http", "headers": []}, receive)


def test_work_ends_when_its_client_goes_away_and_not_before() -> None:
    async def story() -> None:
        gone, ended = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        waiting = asyncio.create_task(unless_gone(asked_by(gone), work()))
        await asyncio.sleep(0)
        assert not ended.is_set()
        gone.set()
        with pytest.raises(ClientDisconnect):
            await waiting
        assert ended.is_set()

    asyncio.run(asyncio.wait_for(story(), 10))


def test_what_comes_of_the_work_is_given_to_who_waits_and_so_is_its_error() -> None:
    async def story() -> None:
        stays = asyncio.Event()
        assert await unless_gone(asked_by(stays), asyncio.sleep(0, "done")) == "done"

        async def fail() -> None:
            raise ValueError("a defect")

        with pytest.raises(ValueError, match="a defect"):
            await unless_gone(asked_by(stays), fail())

    asyncio.run(asyncio.wait_for(story(), 10))


def test_who_ends_the_waiting_ends_the_work() -> None:
    async def story() -> None:
        ended = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        waiting = asyncio.create_task(unless_gone(asked_by(asyncio.Event()), work()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert ended.is_set()

    asyncio.run(asyncio.wait_for(story(), 10))


def test_hanging_up_ends_embeddings_in_the_worker(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = daemon.start("POST", "/v1/embed", {"model": model, "texts": ["hang"]})
        await daemon.until_seen(model, "Embed")
        await response.hang_up()
        await daemon.until_seen(model, "Cancel")
        (asked,), (cancelled,) = daemon.seen(model, "Embed"), daemon.seen(model, "Cancel")
        assert cancelled["id"] == asked["id"]

    tell(story)
