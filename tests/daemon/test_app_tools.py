"""Tools through the daemon's application, over fake workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from daemon.application import Daemon, Tell, ask, say, tell_in

TOOLS = [{"type": "function", "function": {"name": "clock", "description": "The time."}}]
CALL = {"id": "c1", "name": "clock", "arguments": "{}"}
RESULT = {"role": "tool", "parts": ["noon"], "tool_call_id": "c1"}


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    return tell_in(tmp_path)


def test_a_call_is_an_event_and_in_the_stats(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        answered = await daemon.post("/v1/complete", ask(model, "call", tools=TOOLS, parallel_tool_calls=False))
        assert answered.events()[-3:] == ["prefilling", "tool_call", "done"]
        assert answered.lines[-2]["call"] == CALL
        assert answered.lines[-1]["stats"]["tool_calls"] == [CALL]
        (seen,) = daemon.seen(model, "Generate")
        assert (seen["tools"], seen["tool_choice"], seen["parallel_tool_calls"]) == (TOOLS, "auto", False)

    tell(story)


def test_a_named_tool_is_asked_for_by_its_name_and_none_is_not_shown(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        await daemon.post("/v1/complete", ask(model, "call", tools=TOOLS, tool_choice={"name": "clock"}))
        await daemon.post("/v1/complete", ask(model, "hi", tools=TOOLS, tool_choice="none"))
        named, none = daemon.seen(model, "Generate")
        assert (named["tools"], named["tool_choice"]) == (TOOLS, {"name": "clock"})
        assert none["tools"] == []

    tell(story)


def test_a_conversation_keeps_its_calls_and_their_results(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        session = (await daemon.post("/v1/sessions", {"model": model})).json["id"]
        await daemon.post("/v1/complete", say(session, "call", tools=TOOLS))
        await daemon.post("/v1/complete", {"session": session, "messages": [RESULT], "tools": TOOLS})
        kept: dict[str, Any] = (await daemon.get(f"/v1/sessions/{session}")).json
        called = {"role": "assistant", "parts": [""], "tool_calls": [CALL]}
        expected = [{"role": "user", "parts": ["call"]}, called, RESULT, {"role": "assistant", "parts": ["noon"]}]
        assert kept["messages"] == expected
        _first, second = daemon.seen(model, "Generate")
        assert second["messages"] == [RESULT]
        assert second["history"]["messages"] == expected[:2]

    tell(story)


def test_a_tool_that_makes_no_sense_is_named_before_anything_runs(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        refused = await daemon.post("/v1/complete", ask(model, "hi", tools=[*TOOLS, *TOOLS]))
        assert (refused.status, refused.json["code"]) == (400, "tool_invalid")
        assert daemon.seen(model, "Generate") == []

    tell(story)
