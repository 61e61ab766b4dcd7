"""What a client has not taken yet of several answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from daemon.house import settle

from erllama_daemon.http.answering.asking import Asking
from erllama_daemon.http.answering.several import Several
from erllama_daemon.messages import CompleteRequest, Event, Token


class Talker:
    """An answer that has more to say whenever it is heard, and whoever asks for it."""

    def __init__(self) -> None:
        self.said = 0
        self.is_cancelled = False

    async def start(self, _request: CompleteRequest) -> Talker:
        return self

    async def events(self) -> AsyncIterator[Event]:
        while not self.is_cancelled:
            self.said += 1
            yield Token(str(self.said))
            await asyncio.sleep(0)

    def cancel(self) -> None:
        self.is_cancelled = True


def test_an_answer_is_not_heard_far_ahead_of_its_client_and_ends_with_it() -> None:
    async def story() -> None:
        talker, others = Talker(), asyncio.all_tasks()
        answers = Several(cast(Asking, talker), [[CompleteRequest(messages=[])]])
        await answers.start()
        for _ in range(50):
            await settle()
        assert talker.said == 64
        events = answers.events()
        for number in range(1, 201):
            assert await anext(events) == (0, Token(str(number)))
        await settle()
        assert talker.said < 300
        answers.cancel()
        await asyncio.gather(*asyncio.all_tasks() - others)

    asyncio.run(asyncio.wait_for(story(), 20))
