from __future__ import annotations

import asyncio

from erllama_daemon.http.answering.waiting_events import WaitingEvents
from erllama_daemon.messages import Accepted, Event, Loading, Prefilling, Queued, Thinking, Token


def taken(waiting: WaitingEvents) -> list[Event]:
    async def all_of_them() -> list[Event]:
        return [await waiting.get() for _ in range(len(waiting))]

    return asyncio.run(all_of_them())


def test_what_waits_is_one_text_and_the_last_progress_in_the_order_in_which_it_came() -> None:
    waiting = WaitingEvents()
    for event in (Accepted(1), Loading("a", 0.1), Loading("a", 0.9), Queued(2), Queued(1)):
        waiting.put(event)
    for done in range(1000):
        waiting.put(Prefilling(done, 1000, 0))
    for text in "hmm":
        waiting.put(Thinking(text))
    for number in range(10_000):
        waiting.put(Token(f"{number} "))
    assert len(waiting) == 6
    text = "".join(f"{number} " for number in range(10_000))
    expected = [Accepted(1), Loading("a", 0.9), Queued(1), Prefilling(999, 1000, 0), Thinking("hmm"), Token(text)]
    assert taken(waiting) == expected


def test_who_takes_each_event_at_once_sees_each() -> None:
    async def story() -> None:
        waiting = WaitingEvents()
        getting = asyncio.create_task(waiting.get())
        await asyncio.sleep(0)
        for text in ("a", "b"):
            waiting.put(Token(text))
            assert await getting == Token(text)
            getting = asyncio.create_task(waiting.get())
            await asyncio.sleep(0)
        getting.cancel()

    asyncio.run(story())


def test_a_text_goes_on_after_a_part_of_it_was_taken() -> None:
    waiting = WaitingEvents()
    waiting.put(Token("a"))
    waiting.put(Thinking("b"))
    waiting.put(Thinking("c"))
    assert taken(waiting) == [Token("a"), Thinking("bc")]
    waiting.put(Thinking("d"))
    waiting.put(Token("e"))
    assert taken(waiting) == [Thinking("d"), Token("e")]
