"""`overflow: "summarize"`, over workers whose tokens are words."""

from __future__ import annotations

import asyncio
import base64
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from daemon.application import Daemon, Response, Tell, say, tell_in

from erllama_cache.keys import TOKEN_BYTES
from erllama_daemon.http.answering.summary import INSTRUCTION, Past, pasts, summary_tokens
from erllama_daemon.messages import Message, ToolCall
from erllama_daemon.sessions.tree import TurnRow

CONTEXT = 100
SUMMARY = "they counted llamas"


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    return tell_in(tmp_path)


def words(text: str, number: int) -> str:
    return " ".join([text, *(f"{text}{i}" for i in range(1, number))])


class Chat:
    """A conversation with a model that answers each question with itself."""

    def __init__(self, daemon: Daemon, model: str, session: str) -> None:
        self.daemon = daemon
        self.model = model
        self.id = session

    @classmethod
    async def begin(cls, daemon: Daemon, *, private: bool = False, **script: Any) -> Chat:
        script.setdefault("answers", {INSTRUCTION: SUMMARY})
        model = daemon.model(context_size=CONTEXT, counts_words=True, **script)
        session = (await daemon.post("/v1/sessions", {"model": model, "private": private})).json["id"]
        return cls(daemon, model, session)

    def start(self, text: str, **more: object) -> Response:
        body = {"overflow": "summarize", "max_tokens": 5, **say(self.id, text), **more}
        return self.daemon.start("POST", "/v1/complete", body)

    async def say(self, text: str, **more: object) -> Response:
        response = self.start(text, **more)
        await response.task
        return response

    async def ask(self, text: str, **more: object) -> dict[str, Any]:
        """The stats of an answer that ended well."""
        response = await self.say(text, **more)
        assert response.events()[-1] == "done", response.lines[-1]
        stats: dict[str, Any] = response.lines[-1]["stats"]
        return stats

    async def fill(self, *sizes: int) -> None:
        """Turns of so many tokens, question and answer together, by name a, b, c."""
        for name, size in zip("abcdefgh", sizes, strict=False):
            assert (await self.ask(words(name, size // 2)))["summary"] is None

    @property
    def asked(self) -> list[dict[str, Any]]:
        return self.daemon.seen(self.model, "Generate")

    @property
    def said(self) -> list[str]:
        messages = self.daemon.conversations.holding(self.id).get(self.id).messages
        return [message.text.split()[0] for message in messages]


def shown(frame: dict[str, Any]) -> list[str]:
    """The first word of each message that a request shows the model."""
    history = frame["history"]["messages"] if frame["history"] else []
    return ["".join(message["parts"]).split()[0] for message in (*history, *frame["messages"])]


def test_the_oldest_turns_give_way_to_a_summary_and_nothing_said_is_lost(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(20, 20, 20, 20)
        response = await chat.say(words("e", 25))
        assert response.events() == ["accepted", "summarizing", "prefilling", "token", "done"]
        assert response.lines[1]["messages"] == 4
        stats = response.lines[-1]["stats"]
        assert (stats["summary"], stats["dropped_messages"]) == (SUMMARY, 4)
        assert stats["cache_note"] == "a summary took the place of the oldest messages"
        refused, summary, answered = chat.asked[-3:]
        assert shown(refused) == [*"aabbccdde"]
        assert shown(summary) == [*"aabb", "Summarize"]
        assert summary["messages"] == [{"role": "user", "parts": [INSTRUCTION]}]
        assert shown(answered) == ["Summarize", "they", *"ccdde"]
        assert [message["role"] for message in answered["messages"]] == ["user", "assistant"] * 3 + ["user"]
        assert (answered["history"], answered["parent_key"]) == (None, None)
        assert [frame["overflow"] for frame in (refused, summary, answered)] == ["summarize", "stop", "stop"]
        assert chat.said == [*"aabbccddee"]
        turns = daemon.sessions.turns(chat.id)
        assert stats["turn"] == turns[-1].id
        assert stats["parent_key"] == turns[-2].finish_key

    tell(story)


def test_the_summary_is_asked_greedily_of_a_chain_that_ends_with_a_turn(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(20, 20, 20, 20)
        sampling = {"temperature": 0.9, "seed": 5, "json_schema": "{}"}
        await chat.ask(words("e", 25), sampling=sampling, stop=["x"], logprobs=2, logits_digest=True)
        summary, answered = chat.asked[-2:]
        second = daemon.sessions.turns(chat.id)[1]
        assert len(memoryview(_bytes(summary["history"]["tokens"]))) == second.tokens * TOKEN_BYTES
        assert _bytes(summary["history"]["finish_key"]).hex() == second.finish_key
        assert summary["max_tokens"] == summary_tokens(CONTEXT) == 12
        assert summary["sampling"]["temperature"] == 0
        plain = ("json_schema", summary["sampling"]["json_schema"]), ("stop", summary["stop"])
        assert plain == (("json_schema", None), ("stop", []))
        assert (summary["logprobs"], summary["logits_digest"]) == (None, False)
        assert answered["sampling"]["seed"] == 5
        assert (answered["stop"], answered["logprobs"], answered["max_tokens"]) == (["x"], 2, 5)

    tell(story)


def test_the_conditions_of_the_answer_hold_for_the_summary(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon, private=True)
        await chat.fill(20, 20, 20, 20)
        await chat.ask(words("e", 25), adapters=[{"path": "/x", "scale": 0.5}], reproducible=True)
        _refused, summary, answered = chat.asked[-3:]
        for frame in (summary, answered):
            assert frame["adapters"] == [{"path": "/x", "scale": 0.5}]
            assert (frame["reproducible"], frame["scope"], frame["cache"]) == (True, chat.id, True)

    tell(story)


def test_without_the_cache_the_summary_does_without_too_and_demands_nothing_of_it(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(20, 20, 20, 20)
        await chat.ask(words("e", 25), cache=False)
        assert [frame["cache"] for frame in chat.asked[-2:]] == [False, False]
        await chat.ask(words("f", 25), require_cached="prefix")
        assert [frame["require_cached"] for frame in chat.asked[-3:]] == ["prefix", None, "prefix"]

    tell(story)


def test_the_next_turn_extends_what_was_shown(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(20, 20, 20, 20)
        before = await chat.ask(words("e", 20))
        after = await chat.ask("f")
        assert (after["summary"], after["dropped_messages"]) == (None, 0)
        (frame,) = chat.asked[-1:]
        assert shown(frame) == ["Summarize", "they", *"ccddee", "f"]
        assert _bytes(frame["history"]["finish_key"]).hex() == before["finish_key"] == after["parent_key"]
        assert chat.said == [*"aabbccddeeff"]

    tell(story)


def test_a_summary_is_summarized_again_when_the_conversation_outgrows_the_context_again(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(20, 20, 20, 20)
        summaries = []
        for name in "efghijklm":
            stats = await chat.ask(words(name, 10))
            if stats["summary"]:
                summaries.append(stats["dropped_messages"])
                assert shown(chat.asked[-1])[:2] == ["Summarize", "they"]
                assert shown(chat.asked[-2])[-1] == "Summarize"
        assert len(summaries) >= 3
        assert summaries == sorted(summaries)
        assert all(count % 2 == 0 for count in summaries)
        second = [frame for frame in chat.asked if shown(frame).count("Summarize") == 2]
        assert second
        assert chat.said == [each for name in "abcdefghijklm" for each in (name, name)]

    tell(story)


def test_the_system_prompt_stays_and_a_new_one_takes_its_place(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        system = {"role": "system", "parts": ["Brief!"]}
        first = {"messages": [system, {"role": "user", "parts": [words("a", 20)]}]}
        await chat.ask("", **first)
        await chat.ask(words("b", 20))
        stats = await chat.ask(words("c", 20))
        assert stats["dropped_messages"] == 2
        assert shown(chat.asked[-1]) == ["Brief!", "Summarize", "they", "b", "b", "c"]
        new = [{"role": "system", "parts": ["Long!"]}, {"role": "user", "parts": [words("d", 20)]}]
        await chat.ask("", messages=new)
        assert shown(chat.asked[-1])[:3] == ["Long!", "Summarize", "they"]
        assert "Brief!" not in shown(chat.asked[-1])
        none = [{"role": "system", "parts": [" "]}, {"role": "user", "parts": [words("e", 20)]}]
        await chat.ask("", messages=none)
        assert shown(chat.asked[-1])[:2] == ["Summarize", "they"]

    tell(story)


def test_as_many_turns_give_way_as_the_question_and_its_answer_need(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(20, 20, 20, 16)
        await chat.ask(words("e", 45))
        assert shown(chat.asked[-2]) == [*"aabbcc", "Summarize"]
        assert shown(chat.asked[-1]) == ["Summarize", "they", *"dde"]

    tell(story)


def test_what_leaves_no_room_for_the_instruction_is_read_again_shortened(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(96)
        stats = await chat.ask(words("b", 10))
        assert (stats["summary"], stats["dropped_messages"]) == (SUMMARY, 2)
        summary, answered = chat.asked[-2:]
        assert summary["history"] is None
        assert shown(summary) == ["a", "a", "Summarize"]
        assert all("…" in message["parts"][0] for message in summary["messages"][:2])
        assert shown(answered) == ["Summarize", "they", "b"]

    tell(story)


def test_an_earlier_turn_is_the_end_of_what_is_summarized_if_a_later_one_leaves_no_room(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(44, 46)
        await chat.ask(words("c", 12), max_tokens=2)
        assert shown(chat.asked[-2]) == ["a", "a", "Summarize"]
        assert chat.asked[-2]["history"] is not None
        assert shown(chat.asked[-1]) == ["Summarize", "they", *"bbc"]

    tell(story)


@pytest.mark.parametrize("overflow", ["stop", "drop"])
def test_nothing_is_summarized_unless_it_is_asked_for(tell: Tell, overflow: str) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(40, 40)
        refused = await chat.say(words("c", 22), overflow=overflow)
        assert refused.events() == ["accepted", "error"]
        assert (refused.lines[-1]["code"], refused.lines[-1]["exit_code"]) == ("context_exceeded", 5)
        assert len(chat.asked) == 3

    tell(story)


@pytest.mark.parametrize("turns", [[], [20, 20]])
def test_a_question_that_fits_no_context_fails_as_it_did_and_nothing_is_summarized(
    tell: Tell, turns: list[int]
) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(*turns)
        refused = await chat.say(words("z", CONTEXT))
        assert {"summarizing", "token"}.isdisjoint(refused.events())
        assert refused.lines[-1]["code"] == "context_exceeded"
        assert [frame["overflow"] for frame in chat.asked] == [*["summarize"] * (len(turns) + 1), "stop"]
        unanswered = daemon.sessions.get(chat.id).unanswered
        assert unanswered is not None
        assert unanswered.text.startswith("z z1")

    tell(story)


@pytest.mark.parametrize("way", ["cancel", "hang up", "delete"])
def test_cancelling_while_the_summary_is_made_ends_both_and_keeps_the_question(tell: Tell, way: str) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon, answers={INSTRUCTION: "hang"})
        await chat.fill(40, 40)
        response = chat.start(words("c", 22))
        await response.until_event("summarizing")
        while len(chat.asked) < 4:
            await daemon.status()
        if way == "cancel":
            await daemon.post(f"/v1/cancel/{response.lines[0]['id']}")
            await response.task
            assert response.lines[-1]["stats"]["cancelled"]
        elif way == "hang up":
            await response.hang_up()
        else:
            assert (await daemon.delete(f"/v1/sessions/{chat.id}")).status == 200
            await response.task
        await daemon.app.answers.finish()
        assert len(chat.asked) == 4
        assert [frame["id"] for frame in daemon.seen(chat.model, "Cancel")] == [chat.asked[-1]["id"]]
        if way != "delete":
            unanswered = daemon.sessions.get(chat.id).unanswered
            assert unanswered is not None
            assert unanswered.text.startswith("c c1")
            assert chat.said == [*"aabb"]

    tell(story)


def test_a_summary_that_fails_fails_the_answer_with_its_reason(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon, answers={INSTRUCTION: "busy"})
        await chat.fill(40, 40)
        failed = await chat.say(words("c", 22))
        assert failed.events() == ["accepted", "summarizing", "error"]
        assert failed.lines[-1]["code"] == "busy"
        assert chat.said == [*"aabb"]

    tell(story)


def test_a_worker_that_dies_before_it_spoke_of_the_summary_is_followed_by_another(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon, answers={INSTRUCTION: "die once"})
        await chat.fill(40, 40)
        stats = await chat.ask(words("c", 22))
        assert stats["summary"] == "die once"

    tell(story)


def test_what_a_model_thought_will_do_if_it_came_to_no_summary(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon, answers={INSTRUCTION: "think silently"})
        await chat.fill(40, 40)
        assert (await chat.ask(words("c", 22)))["summary"] == "hm"

    tell(story)


def test_a_model_that_summarizes_nothing_leaves_it_at_the_first_failure(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon, answers={INSTRUCTION: " "})
        await chat.fill(40, 40)
        failed = await chat.say(words("c", 22))
        assert failed.lines[-1]["code"] == "context_exceeded"

    tell(story)


def test_an_answer_after_a_key_goes_on_from_a_summary_too(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(40, 40)
        key = daemon.sessions.turns(chat.id)[-1].finish_key
        body = {
            "model": chat.model,
            "parent_key": key,
            "messages": [{"role": "user", "parts": [words("c", 22)]}],
            "overflow": "summarize",
        }
        done = (await daemon.post("/v1/complete", body)).lines[-1]
        assert done["stats"]["summary"] == SUMMARY
        assert (done["stats"]["session"], done["stats"]["turn"], done["stats"]["parent_key"]) == (None, None, key)
        assert chat.said == [*"aabb"]

    tell(story)


def test_turns_whose_tokens_are_lost_are_read_again_for_a_summary() -> None:
    def row(number: int, text: str) -> TurnRow:
        said = [Message("user", [words(text, 10)]), Message("assistant", [words(text, 10)])]
        parent = number - 1 or None
        return TurnRow(number, parent, 0.0, said, None, None, "stop", (number - 1) * 20, b"", b"k", "f")

    async def count(messages: list[Message]) -> int:
        return sum(len(message.text.split()) for message in messages)

    async def first() -> Past:
        way = [row(1, "a"), row(2, "b"), row(3, "c")]
        found = pasts(way, [Message("user", ["d"])], max_tokens=5, context_size=CONTEXT, count=count)
        async with aclosing(found) as open_pasts:
            return await anext(open_pasts)

    past = asyncio.run(first())
    assert past.history is None
    assert [message.text[0] for message in past.unread] == [*"aabb"]
    assert [message.text[0] for message in past.rest] == [*"cc"]


def test_no_summary_stands_for_a_call_whose_result_is_yet_to_come() -> None:
    called = Message("assistant", [words("b", 30)], [ToolCall("one", "clock", "{}")])
    turns = [
        [Message("user", [words("a", 4)]), Message("assistant", [words("a", 4)])],
        [Message("user", [words("b", 4)]), called],
    ]
    way = [
        TurnRow(number, number - 1 or None, 0.0, said, None, None, "stop", 0, b"", b"k", "f")
        for number, said in enumerate(turns, 1)
    ]

    async def count(messages: list[Message]) -> int:
        return sum(len(message.text.split()) for message in messages)

    async def found(asked: Message) -> list[list[str]]:
        past = pasts(way, [asked], max_tokens=5, context_size=CONTEXT, count=count)
        async with aclosing(past) as open_pasts:
            return [[message.text[:1] for message in each.rest] for each in [one async for one in open_pasts]]

    result = Message("tool", [words("c", 4)], tool_call_id="one")
    assert asyncio.run(found(result)) == [[*"bb"]]
    assert [] in asyncio.run(found(Message("user", [words("c", 4)])))


def test_going_back_before_a_summary_shows_all_that_was_said(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        chat = await Chat.begin(daemon)
        await chat.fill(20, 20, 20, 20)
        await chat.ask(words("e", 20))
        await daemon.post(f"/v1/sessions/{chat.id}/goto", {"turn": "3"})
        await chat.ask("f")
        assert shown(chat.asked[-1]) == [*"aabbcc", "f"]

    tell(story)


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
