"""Calls of tools on the real model, whose template knows none: called, answered, and sent back as text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted import answer, client

from erllama_daemon.messages import CompleteRequest, Message, RenderRequest, Sampling, Stats

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 12}, "unit": {"enum": ["°C", "°F"]}},
            "required": ["city", "unit"],
        },
    },
}
ASKED = [Message("user", ["What is the weather in Paris?"])]


def asked(messages: list[Message], **options: Any) -> Stats:
    return answer(
        CompleteRequest(
            messages=messages,
            model="demo",
            tools=[WEATHER],
            max_tokens=options.pop("max_tokens", 60),
            sampling=Sampling(temperature=0.0),
            logits_digest=True,
            **options,
        )
    )


@pytest.mark.usefixtures("erllama")
def test_a_call_is_answered_held_and_sent_back_as_the_text_that_the_model_wrote() -> None:
    called = asked(ASKED, tool_choice="required", parallel_tool_calls=False)
    (call,) = called.tool_calls
    assert (call.name, called.text, called.finish_reason) == ("get_weather", "", "stop")
    arguments = json.loads(call.arguments)
    assert list(arguments) == ["city", "unit"]
    assert arguments["unit"] in ("°C", "°F")

    result = Message("tool", ["It is sunny."], tool_call_id=call.id)
    held = asked([result], parent_key=called.finish_key, max_tokens=12)
    assert held.cached_tokens == called.prompt_tokens + called.completion_tokens
    assert held.text

    asking, resent = client(), [*ASKED, Message("assistant", [""], [call]), result]
    first = asking.render(RenderRequest(model="demo", messages=ASKED, tools=[WEATHER]))
    whole = asking.render(RenderRequest(model="demo", messages=resent, tools=[WEATHER]))
    written = f'<tool_call>\n{{"name": "get_weather", "arguments": {call.arguments}}}\n</tool_call><|im_end|>'
    assert whole.text.startswith(first.text + written)
    sent_again = asked(resent, max_tokens=12)
    assert sent_again.cached_tokens >= called.prompt_tokens + called.completion_tokens
    assert (sent_again.text, sent_again.logits_digest) == (held.text, held.logits_digest)
    again = asked(ASKED, tool_choice="required", parallel_tool_calls=False)
    assert (again.tool_calls, again.logits_digest) == (called.tool_calls, called.logits_digest)
