"""Anthropic's Messages API: from its words to erllama's and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from daemon.application import Daemon, Tell, tell_in
from daemon.fake_worker import stats

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors import ContextExceeded, FieldRefused, NotSupported, RequestInvalid, WorkerDied
from erllama_daemon.http.anthropic.endpoints import _with_silences
from erllama_daemon.http.anthropic.failure import failed
from erllama_daemon.http.anthropic.reply import reply_of
from erllama_daemon.http.anthropic.request import CountRequest, MessagesRequest
from erllama_daemon.http.anthropic.stream import MessageStream, event_name
from erllama_daemon.http.cache_header import Reuse
from erllama_daemon.messages import (
    Calling,
    CompleteRequest,
    Done,
    Event,
    Failure,
    Message,
    NamedTool,
    Stats,
    Thinking,
    Token,
    ToolCall,
)

CALL = ToolCall("c1", "look", '{"where": "here"}')
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    return tell_in(tmp_path)


def asked(messages: object, **more: object) -> CompleteRequest:
    body = {"model": "m", "max_tokens": 9, "messages": messages, **more}
    return msgspec.convert(body, MessagesRequest).complete()


def user(*content: object) -> dict[str, object]:
    return {"role": "user", "content": [*content]}


def text(said: str, **more: object) -> dict[str, object]:
    return {"type": "text", "text": said, **more}


def question(said: str, model: str, **more: object) -> dict[str, object]:
    return {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": said}], **more}


def told(events: Sequence[Event], *, shows_thinking: bool = True, max_tokens: int = 9) -> list[Any]:
    stream = MessageStream(model="m", max_tokens=max_tokens, shows_thinking=shows_thinking)
    said = [*stream.begin(Reuse(2, 3)), *(each for event in events for each in stream.said(event))]
    return [msgspec.to_builtins(each) for each in said]


def done(**more: Any) -> Stats:
    return msgspec.structs.replace(stats("hm"), **more)


@pytest.mark.parametrize("system", ["Be brief.", [text("Be brief.")]])
def test_a_system_prompt_is_a_text_or_blocks(system: object) -> None:
    request = asked([user(text("Hello"))], system=system)
    assert request.messages == [Message("system", ["Be brief."]), Message("user", ["Hello"])]


def test_each_block_of_text_ends_in_a_cut_marked_or_not_and_a_line_end_stands_between_two() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    marked = asked([user(text("A", **mark), text("B"), text(""), text("C"))], system=[text("S", **mark), text("T")])
    assert marked.messages == [Message("system", ["S", "\nT"]), Message("user", ["A", "\nB", "\nC"])]
    assert marked == asked([user(text("A"), text("B"), text("C", **mark))], system=[text("S"), text("T")])


def test_messages_of_one_role_in_a_row_are_one() -> None:
    request = asked([user(text("A")), user(text("B"), text("C"))])
    assert request.messages == [Message("user", ["A", "\nB", "\nC"])]


def test_calls_and_their_results_are_messages_of_their_own_and_old_thinking_is_left_out() -> None:
    request = asked(
        [
            user(text("Look.")),
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "x"},
                    {"type": "redacted_thinking", "data": "y"},
                    text("I look."),
                    {"type": "tool_use", "id": "c1", "name": "look", "input": {"where": "hére"}},
                    {"type": "tool_use", "id": "c2", "name": "look", "input": {}},
                ],
            },
            user(
                {"type": "tool_result", "tool_use_id": "c1", "content": [text("A"), text("B")]},
                {"type": "tool_result", "tool_use_id": "c2", "content": "gone", "is_error": True},
                {"type": "tool_result", "tool_use_id": "c3"},
                text("Well?"),
            ),
        ]
    )
    assert request.messages == [
        Message("user", ["Look."]),
        Message("assistant", ["I look."], [ToolCall("c1", "look", '{"where": "hére"}'), ToolCall("c2", "look", "{}")]),
        Message("tool", ["A", "\nB"], tool_call_id="c1"),
        Message("tool", ["Error: gone"], tool_call_id="c2"),
        Message("tool", [""], tool_call_id="c3"),
        Message("user", ["Well?"]),
    ]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([user(text("A"), {"type": "image", "source": {}})], "messages[0].content[1] is of the type image"),
        ([user({"type": "document", "source": {}})], "of the type document"),
        (
            [user({"type": "tool_result", "tool_use_id": "c", "content": [{"type": "image"}]})],
            "messages[0].content[0].content[0] is of the type image",
        ),
        ([user({"type": "tool_use", "id": "c", "name": "n", "input": {}})], "tool_use, which is not for the role user"),
        ([user(text("A")), {"role": "assistant", "content": "Well, "}], "the last message is the assistant's"),
    ],
)
def test_what_no_model_here_can_read_is_refused_by_name(messages: object, reason: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        asked(messages)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("choice", "expected", "is_parallel"),
    [
        (None, "auto", True),
        ({"type": "auto"}, "auto", True),
        ({"type": "auto", "disable_parallel_tool_use": True}, "auto", False),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "tool", "name": "look"}, NamedTool("look"), True),
        ({"type": "none"}, "none", True),
    ],
)
def test_tools_and_the_choice_among_them_are_those_of_erllama(
    choice: object, expected: object, is_parallel: bool
) -> None:
    request = asked([user(text("A"))], tools=[TOOL, {**TOOL, "type": "custom"}], tool_choice=choice)
    function = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
    assert request.tools == [{"type": "function", "function": function}] * 2
    assert (request.tool_choice, request.parallel_tool_calls) == (expected, is_parallel)


@pytest.mark.parametrize("tool", [{"type": "web_search_20250305", "name": "web_search"}, {"name": "look"}])
def test_a_tool_that_is_not_the_clients_own_is_refused_by_name(tool: object) -> None:
    with pytest.raises(RequestInvalid, match=r"tools\[0\]"):
        asked([user(text("A"))], tools=[tool])


def test_tools_that_may_not_be_called_are_not_counted() -> None:
    body = {"model": "m", "messages": [user(text("A"))], "tools": [TOOL]}
    assert len(msgspec.convert(body, CountRequest).render().tools) == 1
    assert msgspec.convert({**body, "tool_choice": {"type": "none"}}, CountRequest).render().tools == []


def test_the_sampler_is_as_asked_for_and_what_is_ignored_may_be_anything() -> None:
    request = asked(
        [user(text("A"))],
        temperature=0.25,
        top_p=0.5,
        top_k=7,
        stop_sequences=["\n\n"],
        metadata={"user_id": "u"},
        service_tier="auto",
        thinking={"type": "enabled", "budget_tokens": 1024},
    )
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.top_k) == (0.25, 0.5, 7)
    assert (request.stop, request.max_tokens, request.model) == (["\n\n"], 9, "m")
    assert asked([user(text("A"))]).sampling.temperature != 0.25


@pytest.mark.parametrize("field", ["output_config", "output_format"])
def test_an_answer_has_the_form_that_is_asked_for(field: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    given = {"effort": "low", "format": form} if field == "output_config" else form
    assert asked([user(text("A"))], **{field: given}).sampling.json_schema == '{"type":"object"}'
    assert asked([user(text("A"))], output_config={"effort": "low"}).sampling.json_schema is None


def test_tools_of_servers_that_nobody_here_asks_are_refused_by_name() -> None:
    with pytest.raises(FieldRefused, match="mcp_servers"):
        asked([user(text("A"))], mcp_servers=[{"type": "url", "url": "x", "name": "y"}])
    assert asked([user(text("A"))], mcp_servers=[]).tools == []


def test_the_blocks_of_a_stream_come_one_after_the_other() -> None:
    second = ToolCall("c2", "look", "{}")
    ended = Done(done(tool_calls=[CALL, second], cached_tokens=2))
    said = told([Thinking("h"), Thinking("m"), Token("I "), Token("look."), Calling(CALL), Calling(second), ended])
    assert [each["type"] for each in said] == [
        "message_start",
        "ping",
        *("content_block_start", *["content_block_delta"] * 3, "content_block_stop"),
        *("content_block_start", *["content_block_delta"] * 2, "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop") * 2,
        "message_delta",
        "message_stop",
    ]
    assert [each["index"] for each in said if "index" in each] == [0] * 5 + [1] * 4 + [2] * 3 + [3] * 3
    deltas = [each["delta"] for each in said if each["type"] == "content_block_delta"]
    assert [delta["type"] for delta in deltas] == [
        *("thinking_delta", "thinking_delta", "signature_delta", "text_delta", "text_delta"),
        *("input_json_delta", "input_json_delta"),
    ]
    assert deltas[-2]["partial_json"] == CALL.arguments
    assert said[0]["message"]["usage"] == {
        "input_tokens": 0,
        "cache_creation_input_tokens": 1,
        "cache_read_input_tokens": 2,
        "output_tokens": 0,
    }
    assert said[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert said[-2]["usage"] == {**said[0]["message"]["usage"], "output_tokens": 1}


def test_thinking_is_heard_by_those_alone_who_asked_for_it() -> None:
    events: list[Event] = [Thinking("hm"), Token("Yes."), Done(done(thinking="hm"))]
    assert "thinking" not in str(told(events, shows_thinking=False))
    reply = reply_of(done(thinking="hm"), model="m", max_tokens=9, shows_thinking=False)
    assert [msgspec.to_builtins(block) for block in reply.content] == [text("hm")]
    shown = reply_of(done(thinking="hm"), model="m", max_tokens=9, shows_thinking=True)
    assert [block.__struct_config__.tag for block in shown.content] == ["thinking", "text"]


@pytest.mark.parametrize(
    ("thinking", "is_shown"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, True),
        ({"type": "adaptive"}, True),
        ({"type": "adaptive", "display": "omitted"}, False),
        ({"type": "disabled"}, False),
        (None, False),
    ],
)
def test_thinking_is_shown_if_it_is_enabled_and_not_omitted(thinking: object, is_shown: bool) -> None:
    body = {"model": "m", "max_tokens": 1, "messages": [], "thinking": thinking}
    assert msgspec.convert(body, MessagesRequest).shows_thinking is is_shown


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        ({"finish_reason": "stop"}, "end_turn"),
        ({"finish_reason": "stop", "stop_sequence": "\n"}, "stop_sequence"),
        ({"finish_reason": "length", "completion_tokens": 9}, "max_tokens"),
        ({"finish_reason": "length", "completion_tokens": 8}, "model_context_window_exceeded"),
        ({"finish_reason": "stop", "tool_calls": [CALL]}, "tool_use"),
        ({"finish_reason": "length", "completion_tokens": 9, "tool_calls": [CALL]}, "max_tokens"),
    ],
)
def test_why_an_answer_has_ended(ended: dict[str, Any], reason: str) -> None:
    reply = reply_of(done(**ended), model="m", max_tokens=9, shows_thinking=True)
    assert (reply.stop_reason, reply.stop_sequence) == (reason, ended.get("stop_sequence"))
    assert told([Done(done(**ended))])[-2]["delta"]["stop_reason"] == reason


def test_calls_are_blocks_with_their_arguments_as_an_object() -> None:
    reply = reply_of(done(text="", tool_calls=[CALL]), model="m", max_tokens=9, shows_thinking=True)
    (block,) = [msgspec.to_builtins(block) for block in reply.content]
    assert block == {"type": "tool_use", "id": "c1", "name": "look", "input": {"where": "here"}}


def test_what_was_read_but_not_saved_is_no_creation_of_the_cache() -> None:
    reply = reply_of(done(saved="dropped", cached_tokens=1), model="m", max_tokens=9, shows_thinking=True)
    usage = reply.usage
    assert (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (2, 0, 1)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (RequestInvalid(reason="x"), 400, "invalid_request_error"),
        (ContextExceeded(tokens=9, limit=8), 400, "invalid_request_error"),
        (NotSupported(model="m", what="embed"), 400, "invalid_request_error"),
        (WorkerDied(model="m", reason="x"), 500, "api_error"),
        (ValueError("x"), 500, "api_error"),
    ],
)
def test_errors_have_the_status_and_the_type_that_clients_know(error: Exception, status: int, kind: str) -> None:
    response = failed(error)
    body = msgspec.json.decode(bytes(response.body))
    assert (response.status_code, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert body["request_id"] == response.headers["request-id"]
    code = error.code if isinstance(error, ErllamaError) else "internal"
    assert body["error"]["details"]["error_code"] == code


def test_agents_can_tell_that_a_prompt_is_too_long() -> None:
    body = msgspec.json.decode(bytes(failed(ContextExceeded(tokens=9, limit=8)).body))
    assert body["error"]["message"].startswith("prompt is too long: ")


def test_a_stream_that_fails_ends_in_an_error() -> None:
    said = told([Token("I"), Failure("busy", "Too many.", None, 1)])
    assert [each["type"] for each in said[-2:]] == ["content_block_delta", "error"]
    assert said[-1]["error"]["type"] == "overloaded_error"


def test_a_silent_stream_says_that_it_is_alive() -> None:
    async def story() -> None:
        awaited = asyncio.Event()

        async def events() -> AsyncGenerator[tuple[int, Event], None]:
            await awaited.wait()
            yield 0, Token("at last")

        heard = []
        async for event in _with_silences(events(), 0.001):
            heard.append(event)
            awaited.set()
        assert heard[0] is None
        assert heard[-1] == (0, Token("at last"))

    asyncio.run(story())


def test_an_answer_over_http_with_its_headers(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        response = await daemon.post("/v1/messages", question("Hello", daemon.model()))
        assert response.status == 200, response.body
        reply = response.json
        assert reply["id"].startswith("msg_")
        assert (reply["type"], reply["role"], reply["stop_reason"]) == ("message", "assistant", "end_turn")
        assert reply["content"] == [text("Hello")]
        assert response.headers["request-id"].startswith("req_")
        assert response.headers["x-erllama-cache"] == "cold; reused=0; prompt=3; saved=published"

    tell(story)


def test_a_stream_over_http_names_its_events_as_their_types(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        response = await daemon.post("/v1/messages", question("Hello", daemon.model(), stream=True))
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-erllama-cache"] == "cold; reused=0; prompt=3"
        assert all(name == data["type"] for name, data in response.named_events)
        assert [name for name, _data in response.named_events] == [
            *("message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop"),
            *("message_delta", "message_stop"),
        ]

    tell(story)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("prompt", ["queue", "hang"])
def test_a_client_that_hangs_up_cancels(tell: Tell, prompt: str, stream: bool) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = daemon.start("POST", "/v1/messages", question(prompt, model, stream=stream))
        await daemon.until_seen(model, "Generate")
        await response.hang_up()
        await daemon.app.answers.finish()
        assert len(daemon.seen(model, "Cancel")) == 1

    tell(story)


def test_a_client_that_hangs_up_in_the_middle_of_a_stream_cancels(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = daemon.start("POST", "/v1/messages", question("say then hang", model, stream=True))
        while b"text_delta" not in response.body:
            await asyncio.sleep(0.001)
        await response.hang_up()
        await daemon.app.answers.finish()
        assert len(daemon.seen(model, "Cancel")) == 1

    tell(story)


@pytest.mark.parametrize("stream", [True, False])
def test_what_fails_before_the_first_word_is_an_http_error(tell: Tell, stream: bool) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        busy = await daemon.post("/v1/messages", question("busy", model, stream=stream))
        assert (busy.status, busy.json["error"]["type"]) == (529, "overloaded_error")
        unknown = await daemon.post("/v1/messages", question("Hello", "nothing", stream=stream))
        assert (unknown.status, unknown.json["error"]["type"]) == (404, "not_found_error")
        empty = await daemon.post("/v1/messages", {"model": model, "max_tokens": 1, "messages": [], "stream": stream})
        assert empty.status == 400

    tell(story)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_somebody_else_cancels_has_failed(tell: Tell, stream: bool) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = daemon.start("POST", "/v1/messages", question("queue", model, stream=stream))
        await daemon.until_seen(model, "Generate")
        daemon.app.answers.cancel_all()
        await response.task
        told = response.sent[-1] if response.headers["content-type"].startswith("text/event") else response.json
        assert told["error"]["details"]["error_code"] == "answer_cut_off"

    tell(story)


def test_a_body_that_makes_no_sense_is_refused_with_the_place(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        for body, place in (
            ({"model": "m", "messages": []}, "max_tokens"),
            (question("x", "m", messages=[user({"type": "video"})]), "video"),
            (question("x", "m", tool_choice={"type": "some"}), "tool_choice"),
            (b"{", "truncated"),
        ):
            response = await daemon.post("/v1/messages", body)
            assert (response.status, response.json["error"]["type"]) == (400, "invalid_request_error")
            assert place in response.json["error"]["message"]

    tell(story)


def test_the_tokens_of_a_prompt_are_counted_with_its_tools(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(counts_words=True)
        body = {"model": model, "system": "one two", "messages": [user(text("three"))], "tools": [TOOL]}
        response = await daemon.post("/v1/messages/count_tokens", body)
        assert (response.status, response.json) == (200, {"input_tokens": 3})
        assert response.headers["request-id"].startswith("req_")
        (frame,) = daemon.seen(model, "Render")
        assert frame["tools"][0]["function"]["name"] == "look"

    tell(story)


def test_every_event_has_a_name() -> None:
    stream = MessageStream(model="m", max_tokens=1, shows_thinking=True)
    assert [event_name(each) for each in stream.begin(Reuse(0, 1))] == ["message_start", "ping"]
