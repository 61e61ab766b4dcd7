"""OpenAI's completions, embeddings and responses over fake workers."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from daemon.application import Daemon, Response, Tell, tell_in

from erllama_daemon.http.openai.logprobs import LogprobsInStream, said_tokens
from erllama_daemon.http.openai.response_ids import KEPT, KnownResponse, ResponseIds
from erllama_daemon.http.openai.response_output import ComingOutput, Numbers, output_of
from erllama_daemon.messages import Calling, Event, Stats, Thinking, Token, TokenLogprobs, ToolCall

CALL = ToolCall("c1", "clock", '{"zone": "CET"}')
FUNCTION = {"type": "function", "name": "clock", "description": "The time.", "parameters": {"type": "object"}}


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    return tell_in(tmp_path)


def stats(text: str = "", **more: Any) -> Stats:
    plain = Stats.never_started(model="m", session=None, seed=1, load_ms=0.0)
    return msgspec.structs.replace(plain, text=text, finish_reason="stop", cancelled=False, **more)


def likely(*texts: str) -> list[TokenLogprobs]:
    return [TokenLogprobs(number, text, -1.0, []) for number, text in enumerate(texts)]


def texts(tokens: list[TokenLogprobs]) -> list[str]:
    return [token.text for token in tokens]


async def follows(daemon: Daemon, response_id: str, **more: Any) -> Response:
    body = {"model": daemon.model(), "input": "and then?", "previous_response_id": response_id, **more}
    return await daemon.post("/v1/responses", body)


# Completions


def test_a_text_is_read_as_its_tokens_and_several_are_answered_in_order(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()

        async def read(prompt: object) -> list[str]:
            before = len(daemon.seen(model, "Generate"))
            response = await daemon.post("/v1/completions", {"model": model, "prompt": prompt, "seed": 1})
            assert [choice["index"] for choice in response.json["choices"]] == [*range(len(response.json["choices"]))]
            return [frame["tokens"] for frame in daemon.seen(model, "Generate")[before:]]

        def packed(*tokens: int) -> str:
            return base64.b64encode(b"".join(token.to_bytes(4, "little") for token in tokens)).decode()

        assert await read("ab") == [packed(97, 98)]
        assert sorted(await read(["a", "b"])) == sorted([packed(97), packed(98)])
        assert await read([1, 258]) == [packed(1, 258)]
        assert sorted(await read([[1], [2, 3]])) == sorted([packed(1), packed(2, 3)])
        frame = daemon.seen(model, "Generate")[0]
        assert (frame["max_tokens"], frame["sampling"]["seed"]) == (16, 1)

    tell(story)


def test_a_completion_has_openais_shape_whole_and_in_pieces(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        body = {"model": daemon.model(), "prompt": "x", "n": 2}
        whole = (await daemon.post("/v1/completions", body)).json
        assert whole["object"] == "text_completion"
        assert [(choice["text"], choice["finish_reason"]) for choice in whole["choices"]] == [("tokens", "stop")] * 2
        assert whole["usage"]["completion_tokens"] == 2
        pieces = await daemon.post("/v1/completions", {**body, "stream": True, "stream_options": {"include_usage": 1}})
        assert pieces.status == 400
        options = {"include_usage": True}
        pieces = await daemon.post("/v1/completions", {**body, "stream": True, "stream_options": options})
        assert pieces.body.endswith(b"data: [DONE]\n\n")
        assert "".join(choice["text"] for piece in pieces.sent for choice in piece["choices"]) == "tokenstokens"
        assert pieces.sent[-1]["usage"]["total_tokens"] == 5

    tell(story)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"echo": True}, "echo"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": ["a"] * 257}, "prompt"),
        ({"prompt": ["a"] * 129, "n": 2}, "n"),
        ({"prompt": 7}, "prompt"),
    ],
    ids=lambda more: str(more)[:20],
)
def test_what_no_completion_can_do_is_refused_by_its_name(tell: Tell, more: dict[str, Any], param: str) -> None:
    async def story(daemon: Daemon) -> None:
        response = await daemon.post("/v1/completions", {"model": daemon.model(), "prompt": "x", **more})
        assert (response.status, response.json["error"]["param"]) == (400, param)

    tell(story)


# Embeddings


def test_vectors_are_numbers_or_base64_and_tokens_can_be_embedded(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()

        async def embed(**more: Any) -> Any:
            return (await daemon.post("/v1/embeddings", {"model": model, "input": "a", **more})).json

        plain = await embed(input=["a", "b"], dimensions=1)
        assert [(each["index"], each["embedding"]) for each in plain["data"]] == [(0, [1.0]), (1, [1.0])]
        assert plain["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
        assert (await embed(encoding_format="base64"))["data"][0]["embedding"] == "AACAPw=="
        assert (await embed(dimensions=3))["error"]["param"] == "dimensions"
        assert (await embed(input=["a", ""]))["error"]["code"] == "embedding_empty"
        assert (await embed(input=["a", [1]]))["error"]["param"] == "input"
        assert (await embed(input=["a"] * 2049))["error"]["param"] == "input"
        assert len((await embed(input=["a"] * 2048))["data"]) == 2048
        assert (await embed(input=[-1]))["error"]["code"] == "request_invalid"
        await embed(input=[[1], [258]])
        assert daemon.seen(model, "Embed")[-1]["prompts"] == ["AQAAAA==", "AgEAAA=="]

    tell(story)


# Responses


def test_items_become_messages_and_calls_belong_to_the_message_before_them(tell: Tell) -> None:
    items = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What time is it?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "One moment."}]},
        {"type": "function_call", "call_id": "c1", "name": "clock", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "clock", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "noon"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "night"}]},
    ]

    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        body = {"model": model, "input": items, "instructions": "Be kind.", "tools": [FUNCTION]}
        assert (await daemon.post("/v1/responses", body)).status == 200
        (frame,) = daemon.seen(model, "Generate")
        calls = [{"id": each, "name": "clock", "arguments": "{}"} for each in ("c1", "c2")]
        assert frame["messages"] == [
            {"role": "system", "parts": ["Be kind.\n\n", "Be brief."]},
            {"role": "user", "parts": ["What time is it?"]},
            {"role": "assistant", "parts": ["One moment."], "tool_calls": calls},
            {"role": "tool", "parts": ["noon"], "tool_call_id": "c1"},
            {"role": "tool", "parts": ["night"], "tool_call_id": "c2"},
        ]

    tell(story)


def test_a_response_has_openais_shape(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        body = {"model": daemon.model(), "input": "think", "metadata": {"a": "b"}, "text": {"format": {"type": "text"}}}
        response = await daemon.post("/v1/responses", body)
        assert response.headers["x-erllama-cache"].startswith("cold; reused=0")
        told = response.json
        assert told["id"] == f"resp_{told['erllama']['finish_key']}"
        assert (told["object"], told["status"], told["metadata"]) == ("response", "completed", {"a": "b"})
        assert [item["type"] for item in told["output"]] == ["reasoning", "message"]
        assert told["output"][1]["content"] == [
            {"type": "output_text", "text": "think", "annotations": [], "logprobs": []}
        ]
        usage = told["usage"]
        assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (3, 1, 4)
        assert usage["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 3}

    tell(story)


def test_a_response_goes_on_from_the_one_before_also_when_the_daemon_has_begun_anew(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        body = {"model": model, "input": "hello", "instructions": "Be kind."}
        first = (await daemon.post("/v1/responses", body)).json
        streamed = (await daemon.post("/v1/responses", {**body, "stream": True})).sent[-1]["response"]
        assert first["id"] != streamed["id"]
        key = base64.b64encode(bytes.fromhex(first["erllama"]["finish_key"])).decode()
        for known in (first["id"], streamed["id"]):
            again = await follows(daemon, known, instructions="Be kind.")
            assert again.status == 200
            frame = daemon.seen(model, "Generate")[-1]
            assert (frame["parent_key"], frame["messages"]) == (key, [{"role": "user", "parts": ["and then?"]}])
            assert (await follows(daemon, again.json["id"], instructions="Be kind.")).status == 200
            assert (await follows(daemon, known)).status == 200
            refused = await follows(daemon, known, instructions="Be rude.")
            assert (refused.status, refused.json["error"]["param"]) == (400, "instructions")
            assert ResponseIds(daemon.directories.responses).find(known) is not None
        assert (daemon.directories.responses.stat().st_mode & 0o777) == 0o600

    tell(story)


def test_a_response_that_nobody_knows_cannot_be_followed(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        for unknown in ("resp_1", "x", ""):
            error = (await follows(daemon, unknown)).json["error"]
            assert (error["code"], error["param"]) == ("previous_response_not_found", "previous_response_id")
        assert (await follows(daemon, "resp_" + "a" * 64)).status == 200  # the cache has to know
        for gone in (await daemon.get("/v1/responses/resp_1"), await daemon.delete("/v1/responses/resp_1")):
            assert (gone.status, gone.json["error"]["code"]) == (404, "response_not_kept")

    tell(story)


def test_what_is_not_to_be_stored_is_known_in_memory_alone(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        body = {"model": daemon.model(), "input": "hello", "store": False, "stream": True}
        response_id = (await daemon.post("/v1/responses", body)).sent[-1]["response"]["id"]
        assert (await follows(daemon, response_id, store=False)).status == 200
        assert not daemon.directories.responses.exists()

    tell(story)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice.type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].type"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0]"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
    ],
    ids=str,
)
def test_what_no_response_can_do_is_refused_by_its_name(tell: Tell, more: dict[str, Any], param: str) -> None:
    async def story(daemon: Daemon) -> None:
        response = await daemon.post("/v1/responses", {"model": daemon.model(), "input": "x", **more})
        assert (response.status, response.json["error"]["param"]) == (400, param)

    tell(story)


def test_the_stream_of_a_response_numbers_its_events_and_ends_with_all_of_it(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        response = await daemon.post("/v1/responses", {"model": daemon.model(), "input": "think", "stream": True})
        names = [line[7:].decode() for line in response.body.splitlines() if line.startswith(b"event: ")]
        assert names == [event["type"] for event in response.sent]
        assert names == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.reasoning_text.delta",
            "response.reasoning_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        assert [event["sequence_number"] for event in response.sent] == [*range(len(names))]
        assert len({event["response"]["id"] for event in response.sent if "response" in event}) == 1
        assert response.sent[-1]["response"]["output"] == [response.sent[7]["item"], response.sent[13]["item"]]

        hanging = daemon.start("POST", "/v1/responses", {"model": daemon.model(), "input": "hang", "stream": True})
        while b"response.in_progress" not in hanging.body:
            await asyncio.sleep(0.001)
        daemon.app.answers.cancel_all()
        await hanging.task
        failed = hanging.sent[-1]
        assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
        assert failed["response"]["error"]["error_code"] == "answer_cut_off"

    tell(story)


def test_calls_come_after_the_text_each_as_an_item_of_its_own() -> None:
    heard: list[Event] = [Thinking("hm"), Token("Let me see."), Calling(CALL)]
    second = ToolCall("c2", "clock", "{}")
    ended = stats("Let me see.", thinking="hm", tool_calls=[CALL, second])
    output = ComingOutput(Numbers())
    made = [event for each in heard for event in output.of(each)] + [*output.end(ended)]
    names = [event.kind for event in made]
    assert names.count("response.function_call_arguments.done") == 2
    assert [event.sequence_number for event in made] == [*range(len(made))]

    def without_ids(items: object) -> object:
        return [{**item, "id": ""} for item in json.loads(msgspec.json.encode(items))]

    assert without_ids(output.items) == without_ids(output_of(ended))
    assert [item["type"] for item in json.loads(msgspec.json.encode(output.items))] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]


def test_an_answer_without_a_word_is_an_empty_message() -> None:
    output = ComingOutput(Numbers())
    assert [event.kind for event in output.end(stats())][-1] == "response.output_item.done"
    (item,) = output.items
    assert item.__struct_config__.tag == "message"


def test_only_so_many_responses_are_remembered(tmp_path: Path) -> None:
    path = tmp_path / "responses.sqlite3"
    ids = ResponseIds(path)
    ids.keep("resp_first", KnownResponse("k", "i"), in_memory=False)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO responses (rowid, id) VALUES (?, 'resp_between')", (KEPT,))
    connection.close()
    ids.keep("resp_second", KnownResponse("l", None), in_memory=False)
    anew = ResponseIds(path)
    assert (anew.find("resp_first"), anew.find("resp_second")) == (None, KnownResponse("l", None))
    path.write_bytes(b"no database at all, but a file of some length" * 99)
    assert ResponseIds(path).find("resp_second") is None
    ids.keep("resp_third", KnownResponse("m", None), in_memory=False)
    assert ids.find("resp_third") == KnownResponse("m", None)


# Log-probabilities


def test_thinking_calls_stop_sequences_and_end_tokens_are_no_tokens_of_the_answer() -> None:
    tokens = likely("<think>", "hm", "A", "B", "C", "")
    assert texts(said_tokens(stats("ABC", logprobs=tokens, thinking_tokens=2))) == ["A", "B", "C"]
    stopped = stats("A", logprobs=tokens[2:5], stop_sequence="BC")
    assert texts(said_tokens(stopped)) == ["A"]
    cut = msgspec.structs.replace(stats("ABC", logprobs=tokens[2:5]), finish_reason="length")
    assert texts(said_tokens(cut)) == ["A", "B", "C"]
    half = stats("é", logprobs=likely("\ufffd", "\ufffd", "x"), stop_sequence="x")
    assert len(said_tokens(half)) == 3
    called = likely("A", "<tool_call>", "{}", "")
    assert texts(said_tokens(stats("A", logprobs=called, tool_calls=[CALL]))) == ["A"]
    assert said_tokens(stats("", logprobs=called[1:], tool_calls=[CALL])) == []
    assert said_tokens(stats("A")) == []


def test_a_stream_gives_each_token_once_and_with_its_text() -> None:
    stream, tokens = LogprobsInStream(), likely("A", "B", "C", "D")
    assert texts(stream.add("A", tokens[:2])) == ["A"]
    assert texts(stream.add("BC", tokens[2:3])) == ["B", "C"]
    assert texts(stream.end(stats("ABC", logprobs=tokens, stop_sequence="D"))) == []
    late = LogprobsInStream()
    assert late.add("AB", []) == []
    assert texts(late.end(stats("ABC", logprobs=[*tokens[:3], *likely("")]))) == ["A", "B", "C"]
