"""OpenAI's chats over fake workers: what becomes of each field, and what comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from daemon.application import Daemon, Tell, tell_in

from erllama_daemon.http.openai.chat_request import ChatRequest
from erllama_daemon.messages import CompleteRequest, NamedTool

PATH = "/v1/chat/completions"
HELLO = {"role": "user", "content": "hello"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "clock", "description": "The time.", "parameters": SCHEMA}}
SEEDS = 2**32 - 1


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    return tell_in(tmp_path)


def chat(model: str, *messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [*messages] or [HELLO], **more}


async def asked(daemon: Daemon, **more: Any) -> dict[str, Any]:
    """What a worker is asked."""
    model = daemon.model()
    response = await daemon.post(PATH, chat(model, **more))
    assert response.status == 200, response.json
    return daemon.seen(model, "Generate")[-1]


def test_a_chat_is_answered_in_openais_shape(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = await daemon.post(PATH, chat(model, {"role": "user", "content": "think"}))
        assert response.status == 200
        assert response.headers["x-erllama-cache"] == "cold; reused=0; prompt=3; saved=published"
        assert response.headers["x-request-id"].startswith("req_")
        body = response.json
        assert body["object"] == "chat.completion" and body["model"] == model
        (choice,) = body["choices"]
        assert choice["message"] == {
            "role": "assistant",
            "content": "think",
            "refusal": None,
            "reasoning_content": "hm",
        }
        assert choice["finish_reason"] == "stop"
        assert choice["erllama"]["finish_key"] == "f" * 64 or len(choice["erllama"]["finish_key"]) == 64
        usage = body["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (3, 1, 4)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 0

    tell(story)


def test_messages_become_messages_and_parts_become_breakpoints(tell: Tell) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "x"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    ]

    async def story(daemon: Daemon) -> None:
        assert (await asked(daemon, messages=messages))["messages"] == [
            {"role": "system", "parts": ["Be brief."]},
            {"role": "user", "parts": ["a", "b"]},
            {"role": "assistant", "parts": [], "tool_calls": [{"id": "c1", "name": "clock", "arguments": "{}"}]},
            {"role": "tool", "parts": ["noon"], "tool_call_id": "c1"},
        ]

    tell(story)


def test_every_field_means_what_openai_says(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        sampler = {
            "temperature": 0.5,
            "top_p": 0.9,
            "frequency_penalty": 0.5,
            "presence_penalty": -0.5,
            "logit_bias": {"7": 3},
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
        }
        frame = await asked(
            daemon,
            **sampler,
            seed=2 * SEEDS - 2,
            stop="\n",
            max_completion_tokens=7,
            max_tokens=9,
            logprobs=True,
            top_logprobs=2,
            stream=False,
            user="u",
            metadata={"a": "b"},
            store=True,
            service_tier="auto",
            reasoning_effort="low",
            never_heard_of={"this": 1},
        )
        sampling = frame["sampling"]
        assert {name: sampling[name] for name in sampler if name != "response_format"} == {
            **{name: value for name, value in sampler.items() if name != "response_format"},
            "logit_bias": {"7": 3.0},
        }
        assert sampling["json_schema"] == '{"type":"object","properties":{"a":{"type":"string"}}}'
        assert (sampling["seed"], sampling["top_k"]) == (SEEDS - 2, 40)
        assert (frame["stop"], frame["max_tokens"], frame["logprobs"]) == (["\n"], 7, 2)

        assert (await asked(daemon))["max_tokens"] == 2**31 - 1
        assert (await asked(daemon, max_tokens=9, stop=["a", "b"]))["stop"] == ["a", "b"]
        assert (await asked(daemon, response_format={"type": "json_object"}))["sampling"]["json_schema"]
        assert (await asked(daemon, response_format={"type": "text"}))["sampling"]["json_schema"] is None

    tell(story)


def test_nulls_are_what_was_not_given(tell: Tell) -> None:
    fields = "max_tokens n stream stop seed logprobs tools tool_choice temperature response_format stream_options"

    async def story(daemon: Daemon) -> None:
        plain = await asked(daemon)
        assert {**await asked(daemon, **dict.fromkeys(fields.split())), "id": 0} == {**plain, "id": 0}

    tell(story)


def test_erllamas_own_field_reaches_every_promise(tell: Tell) -> None:
    own = {
        "parent_key": "0f" * 32,
        "private": True,
        "reproducible": True,
        "require_cached": "prefix",
        "overflow": "drop",
        "adapters": [{"path": "/x", "scale": 0.5}],
        "options": {"threads": 2},
        "top_k": 3,
        "seed": 5,
        "stop": ["end"],
    }

    async def story(daemon: Daemon) -> None:
        frame = await asked(daemon, erllama=own)
        assert frame["parent_key"] == "Dw8P" * 10 + "Dw8="
        assert frame["scope"] and frame["reproducible"] and frame["require_cached"] == "prefix"
        assert (frame["overflow"], frame["adapters"], frame["stop"]) == ("drop", own["adapters"], ["end"])
        assert (frame["sampling"]["top_k"], frame["sampling"]["seed"]) == (3, 5)
        assert daemon.seen(daemon.model(), "Configure")[0]["threads"] == 2

        model = daemon.model()
        session = (await daemon.post("/v1/sessions", {"model": model})).json["id"]
        response = await daemon.post(PATH, chat("whatever", erllama={"session": session}))
        assert response.json["choices"][0]["erllama"]["session"] == session

        misspelt = await daemon.post(PATH, chat(model, erllama={"privat": True}))
        assert (misspelt.status, misspelt.json["error"]["param"]) == (400, "erllama")

    tell(story)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        ({"messages": [HELLO, {"role": "function", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"n": 0}, "n"),
        ({"n": 33}, "n"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"temperature": "hot"}, "temperature"),
        ({"erllama": {"session": "s"}, "n": 2}, "n"),
    ],
    ids=str,
)
def test_what_cannot_be_had_is_refused_by_its_name(tell: Tell, more: dict[str, Any], param: str) -> None:
    async def story(daemon: Daemon) -> None:
        response = await daemon.post(PATH, {**chat(daemon.model()), **more})
        error = response.json["error"]
        assert (response.status, error["type"], error["param"]) == (400, "invalid_request_error", param)
        assert error["message"] and error["code"]

    tell(story)


@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_the_statuses_that_clients_know(tell: Tell, stream: bool) -> None:
    async def story(daemon: Daemon) -> None:
        async def failed(prompt: str, **more: Any) -> tuple[int, str, str, str | None]:
            body = chat(daemon.model(), {"role": "user", "content": prompt}, stream=stream)
            response = await daemon.post(PATH, {**body, **more})
            error = response.json["error"]
            return response.status, error["type"], error["code"], response.headers.get("retry-after")

        assert await failed("busy") == (429, "rate_limit_error", "rate_limit_exceeded", "1")
        assert await failed("x", model="none") == (404, "invalid_request_error", "model_not_found", None)
        assert await failed("die") == (500, "server_error", "worker_died", None)
        assert await failed("") == (400, "invalid_request_error", "prompt_empty", None)
        assert await failed("x", erllama={"session": "s"}) == (404, "invalid_request_error", "session_unknown", None)
        words = chat(daemon.model("b", counts_words=True, context_size=2), {"role": "user", "content": "a b c"})
        too_long = await daemon.post(PATH, {**words, "stream": stream})
        assert (too_long.status, too_long.json["error"]["code"]) == (400, "context_length_exceeded")

    tell(story)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{}]}, "messages[0].role"),
        ({"messages": 1}, "messages"),
        ({"n": "two"}, "n"),
        ({"model": None}, "model"),
    ],
    ids=str,
)
def test_a_field_that_makes_no_sense_is_named(tell: Tell, more: dict[str, Any], param: str) -> None:
    async def story(daemon: Daemon) -> None:
        response = await daemon.post(PATH, {**chat(daemon.model()), **more})
        assert (response.status, response.json["error"]["param"]) == (400, param)

    tell(story)


def test_a_field_that_is_missing_is_named_and_so_is_a_length_as_its_request_calls_it(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        assert (await daemon.post(PATH, {"messages": []})).json["error"]["param"] == "model"
        response = await daemon.post("/v1/responses", {"model": daemon.model(), "input": "x", "max_output_tokens": -1})
        assert response.json["error"]["param"] == "max_output_tokens"

    tell(story)


def test_a_seed_below_zero_is_drawn(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        for seed in (-1, 7):
            await daemon.post(PATH, chat(model, seed=seed))
        drawn, given = (frame["sampling"]["seed"] for frame in daemon.seen(model, "Generate"))
        assert drawn != SEEDS - 1 and given == 7

    tell(story)


def test_a_stream_says_who_speaks_then_what_then_why_it_ended_and_what_it_took(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        body = chat(daemon.model(), {"role": "user", "content": "think"}, stream=True)
        response = await daemon.post(PATH, {**body, "stream_options": {"include_usage": True}})
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-erllama-cache"] == "cold; reused=0; prompt=3"
        assert response.body.endswith(b"data: [DONE]\n\n")
        *pieces, last = response.sent
        assert [piece["choices"][0]["delta"] for piece in pieces] == [
            {"role": "assistant", "content": ""},
            {"reasoning_content": "hm"},
            {"content": "think"},
            {},
        ]
        assert [piece["choices"][0]["finish_reason"] for piece in pieces] == [None, None, None, "stop"]
        assert {piece["usage"] for piece in pieces} == {None}
        assert (last["choices"], last["usage"]["total_tokens"]) == ([], 4)
        assert len({piece["id"] for piece in response.sent}) == 1

        assert "usage" not in (await daemon.post(PATH, body)).sent[-1]

    tell(story)


def test_a_call_of_a_tool_is_told_whole_and_in_a_stream(tell: Tell) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}

    async def story(daemon: Daemon) -> None:
        body = chat(daemon.model(), {"role": "user", "content": "call"}, tools=[TOOL])
        (choice,) = (await daemon.post(PATH, body)).json["choices"]
        assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
        assert choice["message"]["tool_calls"] == [call]
        choices = [piece["choices"][0] for piece in (await daemon.post(PATH, {**body, "stream": True})).sent]
        assert [choice["delta"].get("tool_calls") for choice in choices] == [None, [{"index": 0, **call}], None]
        assert choices[-1]["finish_reason"] == "tool_calls"

    tell(story)


def test_tools_and_their_choice_become_those_of_a_request() -> None:
    def request(**more: Any) -> CompleteRequest:
        return msgspec.convert(chat("m", tools=[TOOL], **more), ChatRequest).asked()[0]

    assert request().tools == [TOOL]
    assert request(parallel_tool_calls=False).parallel_tool_calls is False
    assert [request(tool_choice=choice).tool_choice for choice in ("none", "required", None)] == [
        "none",
        "required",
        "auto",
    ]
    chosen = {"type": "function", "function": {"name": "clock"}}
    assert request(tool_choice=chosen).tool_choice == NamedTool("clock")


def test_several_answers_are_asked_for_once_the_first_has_read_the_prompt(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = await daemon.post(PATH, chat(model, n=3, seed=SEEDS - 2))
        assert [choice["index"] for choice in response.json["choices"]] == [0, 1, 2]
        assert response.json["usage"]["prompt_tokens"] == 3
        assert response.json["usage"]["completion_tokens"] == 3
        assert [frame["sampling"]["seed"] for frame in daemon.seen(model, "Generate")] == [SEEDS - 2, SEEDS - 1, 0]

        waiting = daemon.start("POST", PATH, chat(model, {"role": "user", "content": "queue"}, n=3))
        while len(daemon.seen(model, "Generate")) < 4:
            await asyncio.sleep(0.001)
        await waiting.hang_up()
        assert len(daemon.seen(model, "Generate")) == 4

        streamed = await daemon.post(PATH, chat(model, n=2, stream=True))
        said = dict.fromkeys((0, 1), "")
        for piece in streamed.sent:
            choice = piece["choices"][0]
            said[choice["index"]] += choice["delta"].get("content", "")
        assert said == {0: "hello", 1: "hello"}

    tell(story)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("prompt", ["hang", "queue"])
def test_a_client_that_goes_away_cancels_whatever_it_asked_for(tell: Tell, prompt: str, stream: bool) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = daemon.start("POST", PATH, chat(model, {"role": "user", "content": prompt}, stream=stream))
        await daemon.until_seen(model, "Generate")
        await response.hang_up()
        await daemon.until_seen(model, "Cancel")

    tell(story)


def test_an_answer_that_somebody_cuts_off_is_no_answer(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        for stream in (False, True):
            body = chat(model, {"role": "user", "content": "hang"}, stream=stream)
            response = daemon.start("POST", PATH, body)
            while len(daemon.seen(model, "Generate")) < 1 + stream:
                await asyncio.sleep(0.001)
            daemon.app.answers.cancel_all()
            await response.task
            error = response.json["error"] if not response.sent else response.sent[-1]["error"]
            assert error["code"] == "answer_cut_off"

    tell(story)


def test_a_body_that_is_no_json_is_told_so(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        response = await daemon.post(PATH, b"{")
        assert (response.status, response.json["error"]["type"]) == (400, "invalid_request_error")

    tell(story)


def test_every_name_of_a_model_is_listed_and_found(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        config = daemon.directories.config_file
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(f'[aliases]\n"org/llama:tiny" = "{model}"\n')
        listed = (await daemon.get("/v1/models")).json
        assert listed["object"] == "list"
        assert {"org/llama:tiny", "demo"} <= {each["id"] for each in listed["data"]}
        found = (await daemon.get("/v1/models/org/llama:tiny")).json
        assert (found["id"], found["object"], found["owned_by"]) == ("org/llama:tiny", "model", "alias")
        by_path = (await daemon.get(f"/v1/models/{model}")).json
        assert by_path["id"] == model
        missing = await daemon.get("/v1/models/none")
        assert (missing.status, missing.json["error"]["code"]) == (404, "model_not_found")

    tell(story)
