"""The package `anthropic` as it comes, over the Unix socket and TCP, on the real model; and curl."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anthropic
import httpx2
import msgspec
import pytest
from anthropic.types import MessageParam, TextBlock, ToolParam, ToolUseBlock, Usage
from conftest import Erllama
from daemon.fake_worker import stats

from erllama_daemon.directories import user_directories
from erllama_daemon.http.anthropic.stream import MessageStream, event_name
from erllama_daemon.http.cache_header import Reuse
from erllama_daemon.http.event_stream import sent_event
from erllama_daemon.messages import Calling, Done, Event, Thinking, Token, ToolCall

SYSTEM = "You are a careful assistant that answers in one short sentence. " * 12
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
GREEDY = {"temperature": 0}
LOOK: ToolParam = {"name": "look", "description": "Looks at a place.", "input_schema": {"type": "object"}}


@pytest.fixture(params=["unix", "tcp"])
def client(request: pytest.FixtureRequest, erllama: Erllama) -> Iterator[anthropic.Anthropic]:
    assert erllama("daemon", "start", "--http", "127.0.0.1:0").returncode == 0
    assert erllama("load", "demo").returncode == 0
    url, key, transport = "http://erllama", "none", httpx2.HTTPTransport(uds=str(user_directories().socket))
    if request.param == "tcp":
        url = json.loads(erllama("daemon", "status", "--json").stdout)["url"]
        key, transport = erllama("daemon", "key").stdout.strip(), httpx2.HTTPTransport()
    with anthropic.Anthropic(
        base_url=url, api_key=key, max_retries=0, http_client=httpx2.Client(transport=transport)
    ) as found:
        yield found


def prompt_tokens(usage: Usage) -> int:
    return usage.input_tokens + (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)


def test_the_package_hears_thinking_text_and_calls_from_a_stream() -> None:
    calls = [ToolCall("c1", "look", '{"where": "here"}'), ToolCall("c2", "look", "{}")]
    ended = msgspec.structs.replace(stats("I look.", thinking="hm"), tool_calls=calls)
    heard: list[Event] = [Thinking("hm"), Token("I "), Token("look."), *map(Calling, calls), Done(ended)]
    stream = MessageStream(model="m", max_tokens=9, shows_thinking=True)
    said = [*stream.begin(Reuse(2, 3)), *(each for event in heard for each in stream.said(event))]
    body = b"".join(sent_event(each, event_name(each)) for each in said)

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http_client,
        anthropic.Anthropic(base_url="http://erllama", api_key="none", http_client=http_client) as client,
        client.messages.stream(
            model="m", max_tokens=9, tools=[LOOK], messages=[{"role": "user", "content": "Look."}]
        ) as found,
    ):
        message = found.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block.input for block in message.content if isinstance(block, ToolUseBlock)] == [{"where": "here"}, {}]
    assert (message.stop_reason, message.usage.cache_read_input_tokens) == ("tool_use", 0)


def test_a_conversation_that_is_resent_is_read_from_the_cache(client: anthropic.Anthropic) -> None:
    messages: list[MessageParam] = [{"role": "user", "content": "My name is Ada. What is a river?"}]
    first = client.messages.create(model="demo", max_tokens=24, extra_body=GREEDY, system=SYSTEM, messages=messages)
    assert isinstance(first.content[0], TextBlock)
    assert first.content[0].text.strip()
    assert first.stop_reason in ("end_turn", "max_tokens")
    assert first.usage.cache_read_input_tokens == 0
    counted = client.messages.count_tokens(model="demo", system=SYSTEM, messages=messages)
    assert counted.input_tokens == prompt_tokens(first.usage)

    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": "And what is a lake?"}]
    with client.messages.stream(
        model="demo", max_tokens=16, extra_body=GREEDY, system=SYSTEM, messages=messages
    ) as stream:
        said = "".join(stream.text_stream)
        second = stream.get_final_message()
    header = stream.response.headers["x-erllama-cache"]
    assert isinstance(second.content[0], TextBlock)
    assert second.content[0].text == said
    assert second.usage.output_tokens > 0
    read = second.usage.cache_read_input_tokens or 0
    assert read >= counted.input_tokens // 2
    assert header.startswith(f"partial; reused={read}; ")
    counted = client.messages.count_tokens(model="demo", system=SYSTEM, messages=messages)
    assert counted.input_tokens == prompt_tokens(second.usage)


def test_an_answer_stops_where_it_is_told_to_and_calls_and_errors_are_those_that_the_package_knows(
    client: anthropic.Anthropic,
) -> None:
    def ask(max_tokens: int, *stops: str) -> anthropic.types.Message:
        return client.messages.create(
            model="demo",
            max_tokens=max_tokens,
            extra_body=GREEDY,
            stop_sequences=[*stops],
            messages=[{"role": "user", "content": "Count from one to ten."}],
        )

    whole = ask(12)
    assert (whole.stop_reason, whole.usage.output_tokens) == ("max_tokens", 12)
    assert isinstance(whole.content[0], TextBlock)
    stop = whole.content[0].text[8:12]
    stopped = ask(12, stop)
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", stop)
    assert ask(0).content == []

    check_calls(client)
    check_errors(client)


def check_calls(client: anthropic.Anthropic) -> None:
    messages: list[MessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]
    with client.messages.stream(
        model="demo",
        max_tokens=64,
        extra_body=GREEDY,
        messages=messages,
        tools=[WEATHER],
        tool_choice={"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
    ) as stream:
        called = stream.get_final_message()
    (call,) = called.content
    assert isinstance(call, ToolUseBlock)
    assert (called.stop_reason, call.name, isinstance(call.input["city"], str)) == ("tool_use", "get_weather", True)
    counted = client.messages.count_tokens(model="demo", messages=messages, tools=[WEATHER])
    assert counted.input_tokens == prompt_tokens(called.usage)
    messages += [
        {"role": "assistant", "content": called.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": ""}]},
    ]
    answer = client.messages.create(model="demo", max_tokens=8, extra_body=GREEDY, messages=messages, tools=[WEATHER])
    assert (answer.usage.cache_read_input_tokens or 0) >= counted.input_tokens // 2


def check_errors(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(model="nothing", max_tokens=1, messages=[{"role": "user", "content": "Hello"}])
    assert unknown.value.type == "not_found_error"
    assert unknown.value.request_id
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(
            model="demo",
            max_tokens=1,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
                    ],
                }
            ],
        )
    assert "messages[0].content[0] is of the type image" in str(refused.value)
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        client.messages.create(model="demo", max_tokens=1, messages=[{"role": "user", "content": "river " * 70_000}])
