"""Conversations that nobody uses go after as long as the user says, and only then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon.house import House, Tell, settle

from erllama_cache.errors import CacheUnwritable
from erllama_cache.keys import pack_tokens
from erllama_daemon.config import Config
from erllama_daemon.http.answering.answers import Answers
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.messages import DeletedSession, Message
from erllama_daemon.sessions.retention import DAY_S, Retention
from erllama_daemon.sessions.store import Sessions
from erllama_daemon.sessions.turn import Turn

KEEP_S = 90 * DAY_S


class Clock:
    """The time, as `time.time` gives it everywhere."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("erllama_daemon.sessions.store.time.time", clock)
    return clock


@pytest.fixture
def conversations(tmp_path: Path) -> Iterator[Conversations]:
    opened = Conversations(tmp_path / "sessions.sqlite3")
    yield opened
    opened.close()


def said_in(sessions: Sessions, name: str | None = None) -> str:
    session = sessions.create("demo", name).id
    sessions.ask(session, [Message("user", ["Hello?"])])
    messages = [Message("user", ["Hello?"]), Message("assistant", ["Hi."])]
    sessions.add_turn(
        session, Turn(after=None, messages=messages, tokens=pack_tokens([1]), finish_key=b"k" * 32, fingerprint="f")
    )
    return session


def ids(sessions: Sessions) -> set[str]:
    return {summary.id for summary in sessions.summaries()}


def retention(house: House, conversations: Conversations, clock: Clock) -> tuple[Retention, Answers]:
    answers = Answers(house.supervisor, conversations, house.folder / "cache")
    return Retention(conversations.kept, answers.delete_unused, KEEP_S, clock=clock), answers


def test_what_was_not_used_for_so_long_goes_and_each_is_a_line_in_the_log(
    tell: Tell, conversations: Conversations, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(house: House) -> None:
        kept = conversations.kept
        old = said_in(kept)
        clock.now += 10
        used = said_in(kept)
        clock.now += KEEP_S - 10
        sweeper, _answers = retention(house, conversations, clock)
        await sweeper.sweep()
        assert ids(kept) == {old, used}
        kept.ask(used, [Message("user", ["Still there?"])])
        clock.now += 1
        with caplog.at_level(logging.INFO, "erllama_daemon.sessions.retention"):
            await sweeper.sweep()
        assert ids(kept) == {used}
        (line,) = [record.getMessage() for record in caplog.records if "deleted" in record.getMessage()]
        assert line == f"deleted the conversation {old}, unused for 90 days: turns=1 blocks=0 bytes=0"

    tell(story)


def test_what_is_being_answered_is_waited_for_and_then_stays(
    tell: Tell, conversations: Conversations, clock: Clock
) -> None:
    async def story(house: House) -> None:
        session = said_in(conversations.kept)
        clock.now += KEEP_S + 1
        sweeper, answers = retention(house, conversations, clock)
        async with answers.turn_lock(session):
            sweep = asyncio.create_task(sweeper.sweep())
            for _ in range(5):
                await asyncio.to_thread(lambda: None)
                await settle()
            assert not sweep.done()
            conversations.kept.ask(session, [Message("user", ["Still there?"])])
        await sweep
        assert ids(conversations.kept) == {session}

    tell(story)


def test_private_conversations_stay(tell: Tell, conversations: Conversations, clock: Clock) -> None:
    async def story(house: House) -> None:
        session = said_in(conversations.private)
        clock.now += KEEP_S + 1
        sweeper, _answers = retention(house, conversations, clock)
        await sweeper.sweep()
        assert conversations.private.get(session).turns == 1

    tell(story)


def test_one_that_cannot_be_deleted_keeps_no_other_from_it(
    conversations: Conversations, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = said_in(conversations.kept), said_in(conversations.kept)
    asked: list[str] = []

    async def delete(session: str, _moment: float) -> DeletedSession | None:
        asked.append(session)
        raise CacheUnwritable(path="cache", reason="read-only")

    clock.now += KEEP_S + 1
    asyncio.run(Retention(conversations.kept, delete, KEEP_S, clock=clock).sweep())
    assert asked == [first, second]
    assert len([record for record in caplog.records if "could not be deleted" in record.getMessage()]) == 2


def test_it_looks_at_once_and_then_every_day(conversations: Conversations, clock: Clock) -> None:
    session, other = said_in(conversations.kept), said_in(conversations.kept)
    slept: list[float] = []
    deleted: list[str] = []

    async def delete(found: str, _moment: float) -> DeletedSession | None:
        deleted.append(found)
        conversations.kept.delete(found)
        return None

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds
        if len(slept) == 92:
            raise asyncio.CancelledError

    conversations.kept.go_to(other, "0")
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(Retention(conversations.kept, delete, KEEP_S, clock=clock, sleep=sleep).run())
    assert set(slept) == {DAY_S}
    assert deleted == [session, other]


def test_without_a_setting_nothing_ever_goes(tell: Tell, conversations: Conversations, clock: Clock) -> None:
    async def story(house: House) -> None:
        session = said_in(conversations.kept)
        clock.now += 1000 * KEEP_S
        answers = Answers(house.supervisor, conversations, house.folder / "cache")
        await Retention(conversations.kept, answers.delete_unused, Config().sessions.keep, clock=clock).sweep()
        assert ids(conversations.kept) == {session}

    tell(story)
