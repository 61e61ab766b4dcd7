from __future__ import annotations

import asyncio
import base64
import errno
import math
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from daemon.application import Daemon, Response, Tell, ask, say, tell_in

from erllama_cache.errors import ErllamaError
from erllama_daemon.directories import create_private, user_directories
from erllama_daemon.errors import RequestInvalid, SessionsUnusable
from erllama_daemon.messages import (
    AdapterChoice,
    AdapterRequest,
    CompleteRequest,
    EmbedRequest,
    Failure,
    Message,
    ModelOptions,
    Sampling,
)
from erllama_daemon.messages.checks import check_adapter_load, check_adapter_named, check_complete, check_embed
from erllama_daemon.sessions.ballast import Ballast


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    return tell_in(tmp_path)


def test_the_events_of_an_answer_come_in_order_and_loading_only_at_first(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        first = await daemon.post("/v1/complete", ask(model, "think"))
        assert first.events() == ["accepted", "loading", "loading", "prefilling", "thinking", "token", "done"]
        assert [line["progress"] for line in first.lines[1:3]] == [0.0, 0.5]
        second = await daemon.post("/v1/complete", ask(model, "hello"))
        assert second.events() == ["accepted", "prefilling", "token", "done"]
        assert second.lines[0]["id"] != first.lines[0]["id"]

    tell(story)


def test_every_field_of_a_request_reaches_the_worker(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        fields = {
            "max_tokens": 5,
            "stop": ["\n"],
            "logprobs": 3,
            "adapters": [{"path": "/x", "scale": 0.5}],
            "reproducible": True,
            "overflow": "drop",
            "require_cached": "prefix",
            "logits_digest": True,
        }
        body = {"model": model, "tokens": [1, 258], "parent_key": "0f" * 32, "options": {"threads": 2}, **fields}
        assert (await daemon.post("/v1/complete", body)).events()[-1] == "done"
        (frame,) = daemon.seen(model, "Generate")
        assert fields.items() <= frame.items()
        assert frame["tokens"] == "AQAAAAIBAAA="
        assert frame["parent_key"] == "Dw8P" * 10 + "Dw8="
        assert daemon.seen(model, "Configure")[0]["threads"] == 2

    tell(story)


def test_a_request_in_the_workers_queue_says_how_many_are_ahead(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        response = daemon.start("POST", "/v1/complete", ask(daemon.model(), "queue"))
        await response.until_event("queued")
        assert response.lines[-1]["ahead"] == 2
        await response.hang_up()
        await daemon.app.answers.finish()

    tell(story)


def test_cancel_by_id_ends_an_answer_with_its_stats_and_may_be_repeated(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = daemon.start("POST", "/v1/complete", ask(model, "hang"))
        await response.until_event("prefilling")
        number = response.lines[0]["id"]
        assert (await daemon.post(f"/v1/cancel/{number}")).status == 202
        await response.task
        assert response.lines[-1]["stats"]["cancelled"]
        assert (await daemon.post(f"/v1/cancel/{number}")).status == 202
        assert (await daemon.post("/v1/cancel/999999")).status == 202
        assert (await daemon.post("/v1/cancel/x")).status == 400

    tell(story)


def test_cancel_by_id_while_the_model_loads_answers_at_once_and_generates_nothing(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        gate = daemon.folder / "gate"
        model = daemon.model(load_gate=str(gate))
        response = daemon.start("POST", "/v1/complete", ask(model, "hello"))
        await response.until_event("loading")
        await daemon.post(f"/v1/cancel/{response.lines[0]['id']}")
        await response.task
        assert response.lines[-1]["stats"]["cancelled"]
        gate.touch()
        await daemon.post("/v1/complete", ask(model, "other"))
        assert len(daemon.seen(model, "Generate")) == 1

    tell(story)


@pytest.mark.parametrize("prompt", ["hang", "queue", "queue then hang"])
def test_hanging_up_cancels_whatever_the_worker_does_with_the_request(tell: Tell, prompt: str) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = daemon.start("POST", "/v1/complete", ask(model, prompt))
        await response.until_event("queued" if prompt == "queue" else "prefilling")
        await response.hang_up()
        await daemon.app.answers.finish()
        assert len(daemon.seen(model, "Cancel")) == 1

    tell(story)


@pytest.mark.parametrize("event", ["accepted", "loading"])
def test_hanging_up_while_the_model_loads_generates_nothing_later(tell: Tell, event: str) -> None:
    async def story(daemon: Daemon) -> None:
        gate = daemon.folder / "gate"
        model = daemon.model(load_gate=str(gate))
        response = daemon.start("POST", "/v1/complete", ask(model, "queue"))
        await response.until_event(event)
        await response.hang_up()
        await daemon.app.answers.finish()
        gate.touch()
        await daemon.post("/v1/tokenize", {"model": model, "text": "x"})
        assert not daemon.seen(model, "Generate")

    tell(story)


def test_a_client_that_is_gone_before_the_stream_begins_generates_nothing(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = daemon.start("POST", "/v1/complete", ask(model, "hang"))
        await response.hang_up()
        await daemon.app.answers.finish()
        assert not daemon.seen(model, "Generate") or daemon.seen(model, "Cancel")

    tell(story)


def test_a_session_keeps_the_answer_without_the_thinking(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = (await daemon.post("/v1/sessions", {"model": daemon.model()})).json["id"]
        body = {"session": session, "messages": [{"role": "user", "parts": ["think"]}]}
        done = (await daemon.post("/v1/complete", body)).lines[-1]
        assert (done["stats"]["thinking"], done["stats"]["session"]) == ("hm", session)
        assert [message.text for message in daemon.sessions.get(session).messages] == ["think", "think"]

    tell(story)


def test_a_turn_cancelled_before_its_model_is_there_keeps_its_question(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(load_gate=str(daemon.folder / "never"))
        session = (await daemon.post("/v1/sessions", {"model": model})).json["id"]
        body = {"session": session, "messages": [{"role": "user", "parts": ["hello"]}]}
        response = daemon.start("POST", "/v1/complete", body)
        await response.until_event("loading")
        await response.hang_up()
        await daemon.app.answers.finish()
        unanswered = daemon.sessions.get(session).unanswered
        assert unanswered is not None
        assert unanswered.text == "hello"

    tell(story)


@pytest.mark.parametrize("way", ["cancel", "hang up"])
def test_a_turn_cancelled_before_it_is_its_turn_ends_at_once_and_keeps_nothing(tell: Tell, way: str) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        session = (await daemon.post("/v1/sessions", {"model": model})).json["id"]

        def say(prompt: str) -> Response:
            return daemon.start(
                "POST", "/v1/complete", {"session": session, "messages": [{"role": "user", "parts": [prompt]}]}
            )

        first = say("hang")
        await first.until_event("prefilling")
        second, third = say("second"), say("third")
        await second.until_event("accepted")
        await third.until_event("accepted")
        if way == "cancel":
            await daemon.post(f"/v1/cancel/{second.lines[0]['id']}")
            await second.task
            assert second.lines[-1]["stats"]["cancelled"]
        else:
            await second.hang_up()
        while len(daemon.app.answers._tasks) > 2:
            await asyncio.sleep(0.001)
        assert not first.task.done()
        await daemon.post(f"/v1/cancel/{first.lines[0]['id']}")
        await third.task
        assert third.events()[-1] == "done"
        asked = [frame["messages"][-1]["parts"] for frame in daemon.seen(model, "Generate")]
        assert asked == [["hang"], ["third"]]
        assert [message.text for message in daemon.sessions.get(session).messages] == ["third", "third"]

    tell(story)


def test_an_answer_lost_with_its_worker_before_it_began_comes_from_the_next_one(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = await daemon.post("/v1/complete", ask(model, "die once"))
        loading = ["loading"] * 4
        assert response.events() == ["accepted", *loading, "prefilling", "token", "done"]
        assert (await daemon.post("/v1/complete", ask(model, "die"))).lines[-1]["code"] == "worker_died"
        assert len(daemon.seen(model, "Generate")) == 4

    tell(story)


@pytest.mark.parametrize(("prompt", "event"), [("queue", "queued"), ("hang", "prefilling")])
def test_an_answer_that_a_worker_spoke_of_fails_with_it(tell: Tell, prompt: str, event: str) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = daemon.start("POST", "/v1/complete", ask(model, prompt))
        await response.until_event(event)
        os.kill((await daemon.status())[0]["pid"], signal.SIGKILL)
        await response.task
        assert response.lines[-1]["code"] == "worker_died"
        assert len(daemon.seen(model, "Generate")) == 1

    tell(story)


def test_half_a_surrogate_pair_that_an_error_quotes_is_written_out() -> None:
    error = RequestInvalid(reason="what about \ud800?")
    error.hint = "Leave out \udfff."
    failure = Failure.of(error)
    assert "about \\ud800?" in failure.message
    assert failure.hint == "Leave out \\udfff."
    msgspec.json.encode(failure)


def test_calls_are_answered_with_numbers_and_text(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        tokens = await daemon.post("/v1/tokenize", {"model": model, "text": "hi"})
        assert tokens.json == {"tokens": [104, 105], "pieces": ["h", "i"]}
        text = await daemon.post("/v1/detokenize", {"model": model, "tokens": [1]})
        assert text.json == {"text": "01000000"}
        rendered = await daemon.post("/v1/render", ask(model, "hi", tools=[{"name": "f"}]))
        assert rendered.json == {"text": "hi", "tokens": [7], "cuts": [1]}
        assert daemon.seen(model, "Render")[0]["tools"] == [{"name": "f"}]
        vectors = await daemon.post("/v1/embed", {"model": model, "texts": ["a", "b"]})
        assert vectors.json == {"embeddings": [[1.0], [1.0]], "tokens": 5, "pooling": "mean"}

    tell(story)


def test_calls_are_answered_while_a_request_runs(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        running = daemon.start("POST", "/v1/complete", ask(model, "hang"))
        await running.until_event("prefilling")
        assert (await daemon.post("/v1/tokenize", {"model": model, "text": "hi"})).status == 200
        assert not running.task.done()
        (row,) = await daemon.status()
        assert (row["status"], row["running"], row["idle_s"]) == ("generating", 1, 0.0)
        await running.hang_up()

    tell(story)


def test_adapters_are_attached_scaled_listed_and_detached(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()

        async def scales(verb: str, **body: object) -> list[float]:
            response = await daemon.post(f"/v1/adapters/{verb}", {"model": model, **body})
            assert response.json["fingerprint"] == "b" * 64
            return [adapter["scale"] for adapter in response.json["adapters"]]

        assert await scales("ls") == []
        assert await scales("load", adapter="/x", scale=0.5) == [0.5]
        assert await scales("scale", adapter="/x", scale=2.0) == [2.0]
        assert await scales("unload", adapter="/x") == []
        assert await scales("unload", adapter="/x") == []

    tell(story)


def test_load_streams_progress_and_ends_with_the_status(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        body = {"model": model, "options": {"keep_alive_s": -1}}
        first = await daemon.post("/v1/models/load", body)
        assert first.events() == ["loading", "loading", "loaded"]
        status = first.lines[-1]["status"]
        assert (status["id"], status["expires_s"], status["fingerprint"]) == (model, None, "e" * 64)
        assert (await daemon.post("/v1/models/load", body)).events() == ["loaded"]

    tell(story)


def test_a_load_that_fails_ends_with_the_failure(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        response = await daemon.post("/v1/models/load", {"model": daemon.model(load="fail")})
        assert (response.events()[-1], response.lines[-1]["exit_code"]) == ("error", 3)

    tell(story)


def test_what_is_to_be_forgotten_reaches_the_workers(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        body, key = {"model": daemon.model()}, "0a" * 32
        assert (await daemon.post("/v1/cache/forget", {"everything": True})).json == {"sequences": 0, "blocks": 0}
        await daemon.post("/v1/models/load", body)
        assert (await daemon.post("/v1/cache/forget", {"keys": [key]})).json == {"sequences": 1, "blocks": 2}
        await daemon.post("/v1/cache/forget", {"everything": True})
        seen = [frame["keys"] for frame in daemon.seen(body["model"], "Forget")]
        assert seen == [[base64.b64encode(bytes.fromhex(key)).decode()], None]

    tell(story)


def test_unload_and_evict_answer_for_models_that_are_not_loaded(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        body = {"model": daemon.model()}
        assert (await daemon.post("/v1/evict", body)).json == {"sequences": 0, "saved": 0}
        assert (await daemon.post("/v1/models/unload", body)).json == {"unloaded": False}
        await daemon.post("/v1/models/load", body)
        assert (await daemon.post("/v1/evict", body)).json == {"sequences": 2, "saved": 1}
        assert (await daemon.post("/v1/models/unload", body)).json == {"unloaded": True}
        assert await daemon.status() == []

    tell(story)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("complete", b"{", 400, "request_invalid"),
        ("cache/forget", b"{}", 400, "request_invalid"),
        ("cache/forget", b'{"keys": ["00"]}', 400, "request_invalid"),
        ("cache/forget", b'{"keys": ["' + b"0" * 64 + b'"], "everything": true}', 400, "request_invalid"),
        ("complete", b'{"model": "a\xff"}', 400, "request_invalid"),
        ("tokenize", b'{"model": "demo", "text": "\\ud800 x"}', 400, "request_invalid"),
        ("tokenize", b'{"model": "demo", "text": "\\udc00"}', 400, "request_invalid"),
        ("render", b'{"model": "demo", "messages": [], "tools": [' + b'{"a":' * 60_000, 400, "request_invalid"),
        (
            "render",
            b'{"model": "demo", "messages": [{"role": "user", "parts": ["a"]}], "tools": [{"n": 1' + b"0" * 23 + b"}]}",
            400,
            "request_invalid",
        ),
        (
            "render",
            b'{"model": "demo", "messages": [{"role": "user", "parts": ["a"]}], "tools": [{"n": -1'
            + b"0" * 19
            + b"}]}",
            400,
            "request_invalid",
        ),
        (
            "models/load",
            b'{"model": "demo", "options": {"policy": {"min_tokens": 1' + b"0" * 30 + b"}}}",
            400,
            "request_invalid",
        ),
        (
            "models/load",
            b'{"model": "demo", "options": {"policy": {"evict_save_timeout_ms": 2147483648}}}',
            400,
            "request_invalid",
        ),
        ("complete", b'{"model": "demo", "options": {"parallel": 65}, "tokens": [1]}', 400, "request_invalid"),
        ("complete", b'{"model": "/none.gguf", "tokens": [1]}', 404, "model_missing"),
        ("complete", b'{"tokens": [1]}', 400, "request_invalid"),
        ("tokenize", b'{"model": "/none.gguf", "text": ""}', 404, "model_missing"),
        ("detokenize", b'{"model": "demo", "tokens": [4294967296]}', 400, "request_invalid"),
        ("embed", b'{"model": "demo", "texts": []}', 400, "embedding_empty"),
        ("render", b'{"model": "demo", "messages": []}', 400, "prompt_empty"),
        ("cache/explain", b'{"model": "demo"}', 400, "prompt_empty"),
        ("cache/explain", b'{"messages": [{"role": "user", "parts": ["hi"]}]}', 400, "request_invalid"),
        ("models/load", b'{"model": "demo", "options": {"threads": 0}}', 400, "request_invalid"),
        ("adapters/load", b'{"model": "demo", "adapter": "x.gguf"}', 400, "request_invalid"),
        ("adapters/scale", b'{"model": "demo"}', 400, "request_invalid"),
        ("adapters/unload", b'{"model": "demo"}', 400, "request_invalid"),
    ],
)
def test_bad_requests_are_refused_before_anything_runs(
    tell: Tell, path: str, body: bytes, status: int, code: str
) -> None:
    async def story(daemon: Daemon) -> None:
        response = await daemon.post(f"/v1/{path}", body)
        assert (response.status, response.json["code"]) == (status, code)
        assert await daemon.status() == []

    tell(story)


def test_a_busy_worker_fails_the_stream_by_name(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        response = await daemon.post("/v1/complete", ask(daemon.model(), "busy"))
        assert (response.events()[-1], response.lines[-1]["code"]) == ("error", "busy")

    tell(story)


USER = [Message("user", ["hello"])]
NAN = math.nan


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"messages": [Message("user", [" \n"])]},
        {"messages": USER, "tokens": [1]},
        {"tokens": []},
        {"tokens": [-1]},
        {"tokens": [1 << 32]},
        {"tokens": [1], "session": "abcd"},
        {"tokens": [1], "parent_key": "0f"},
        {"tokens": [1], "parent_key": "0g" * 32},
        {"messages": USER, "parent_key": "0f" * 31},
        {"messages": USER, "session": "0f3a", "parent_key": "0f" * 32},
        {"messages": USER, "after": 1},
        {"messages": USER, "seen": 0},
        {"messages": USER, "max_tokens": -1},
        {"messages": USER, "max_tokens": 1 << 70},
        {"messages": USER, "stop": [""]},
        {"messages": USER, "stop": ["a"] * 17},
        {"messages": USER, "stop": ["a" * 1001]},
        {"messages": USER, "logprobs": -1},
        {"messages": USER, "logprobs": 21},
        *(
            {"messages": USER, "sampling": msgspec.structs.replace(Sampling(), **{name: value})}
            for name, value in [
                ("temperature", NAN),
                ("temperature", -1.0),
                ("temperature", math.inf),
                ("top_k", -1),
                ("top_p", NAN),
                ("top_p", 2.0),
                ("min_p", NAN),
                ("repeat_penalty", NAN),
                ("repeat_penalty", 0.0),
                ("temperature", 1e39),
                ("repeat_penalty", 1e39),
                ("repeat_penalty", 1e-50),
                ("logit_bias", {1: -1e39}),
                ("seed", -1),
                ("logit_bias", {1: NAN}),
                ("logit_bias", {1: math.inf}),
                ("logit_bias", {-1: 1.0}),
                ("logit_bias", dict.fromkeys(range(1025), 1.0)),
                ("grammar", "a" * ((256 << 10) + 1)),
                ("grammar", "root ::= \0"),
                ("json_schema", '"' + "a" * (64 << 10) + '"'),
                ("json_schema", "{"),
                ("json_schema", "[" * 60_000),
            ]
        ),
        {"messages": USER, "sampling": Sampling(grammar="a", json_schema="{}")},
        {"messages": USER, "adapters": [AdapterChoice("x.gguf")]},
        {"messages": USER, "adapters": [AdapterChoice("/x\0.gguf")]},
        {"messages": USER, "adapters": [AdapterChoice("/x.gguf", NAN)]},
        {"messages": USER, "adapters": [AdapterChoice("/x.gguf", math.inf)]},
        {"messages": USER, "adapters": [AdapterChoice("/x.gguf", -1e39)]},
        *(
            {"messages": USER, "options": msgspec.structs.replace(ModelOptions(), **{name: value})}
            for name, value in [
                ("context_size", 0),
                ("context_size", (1 << 24) + 1),
                ("parallel", 0),
                ("parallel", 65),
                ("threads", 0),
                ("threads", 1025),
                ("gpu_layers", -2),
                ("keep_alive_s", NAN),
                ("keep_alive_s", -2.0),
            ]
        ),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ErllamaError) as raised:
        check_complete(CompleteRequest(model="a", **fields))
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": USER},
        {"tokens": [0, (1 << 32) - 1], "parent_key": "0F" * 32},
        {"messages": USER, "stop": ["a" * 1000] * 16, "logprobs": 20, "max_tokens": 1},
        {"messages": USER, "sampling": Sampling(temperature=0.0, seed=0, top_p=1.0, logit_bias={5: -1e9})},
        {"messages": USER, "sampling": Sampling(json_schema='{"type": "object"}')},
        {"messages": USER, "sampling": Sampling(grammar="a" * (256 << 10))},
        {"messages": USER, "options": ModelOptions(context_size=1 << 24, parallel=64, threads=1024, keep_alive_s=-1)},
        {"messages": USER, "adapters": [AdapterChoice("/x.gguf", -0.5)], "options": ModelOptions(keep_alive_s=0)},
    ],
)
def test_what_lies_at_the_limits_is_fine(fields: dict[str, Any]) -> None:
    check_complete(CompleteRequest(model="a", **fields))


@pytest.mark.parametrize(("texts", "number"), [([], 1), ([""], 1), (["a", ""], 2)])
def test_an_empty_text_to_embed_is_named(texts: list[str], number: int) -> None:
    with pytest.raises(ErllamaError, match=f"text {number} is empty"):
        check_embed(EmbedRequest(model="a", texts=texts))


@pytest.mark.parametrize("scale", [NAN, math.inf, 1e39])
def test_an_adapters_scale_is_a_finite_number(scale: float) -> None:
    for check in (check_adapter_load, check_adapter_named):
        with pytest.raises(ErllamaError, match="finite"):
            check(AdapterRequest(model="a", adapter="/x", scale=scale))


def test_a_private_answer_is_forgotten_before_it_is_done(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        for prompt, end in (("hello", "done"), ("busy", "error"), ("hello", "done")):
            assert (await daemon.post("/v1/complete", ask(model, prompt, private=True))).events()[-1] == end
        asked, forgotten = daemon.seen(model, "Generate"), daemon.seen(model, "ForgetScope")
        scopes = [frame["scope"] for frame in asked]
        assert len(set(scopes)) == 3
        assert all(len(scope) == 32 for scope in scopes)
        assert [frame["scope"] for frame in forgotten] == scopes

    tell(story)


def test_without_a_wish_a_request_has_no_scope_and_uses_the_cache(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        await daemon.post("/v1/complete", ask(model, "hello"))
        await daemon.post("/v1/complete", ask(model, "hello", cache=False))
        first, second = daemon.seen(model, "Generate")
        assert (first["scope"], first["cache"], second["scope"], second["cache"]) == ("", True, "", False)
        assert not daemon.seen(model, "ForgetScope")

    tell(story)


def test_a_private_conversation_is_in_memory_alone_until_it_is_deleted(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model, marker = daemon.model(), "the third llama from the left"
        session = (await daemon.post("/v1/sessions", {"model": model, "private": True})).json
        assert session["private"]
        path = f"/v1/sessions/{session['id']}"
        for prompt in (marker, "think"):
            await daemon.post("/v1/complete", say(session["id"], prompt))
        first, second = daemon.seen(model, "Generate")
        assert first["scope"] == second["scope"] == session["id"]
        assert [message["parts"] for message in second["history"]["messages"]] == [[marker], [marker]]
        assert (await daemon.get("/v1/sessions/latest")).json["code"] == "no_session"
        assert len((await daemon.get(path)).json["messages"]) == 4
        assert (await daemon.delete(path)).status == (await daemon.delete(path)).status == 204
        assert (await daemon.get(path)).status == 404
        assert {frame["scope"] for frame in daemon.seen(model, "ForgetScope")} == {session["id"]}
        for file in daemon.directories.sessions.parent.iterdir():
            assert marker.encode() not in file.read_bytes()

    tell(story)


def test_deleting_a_private_conversation_ends_its_answers_first(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        session = (await daemon.post("/v1/sessions", {"model": model, "private": True})).json["id"]
        running = daemon.start("POST", "/v1/complete", say(session, "hang"))
        await running.until_event("prefilling")
        waiting = daemon.start("POST", "/v1/complete", say(session, "hello"))
        await waiting.until_event("accepted")
        assert (await daemon.delete(f"/v1/sessions/{session}")).status == 204
        await running.task
        await waiting.task
        assert [response.lines[-1]["stats"]["cancelled"] for response in (running, waiting)] == [True, True]
        seen = [frame["type"] for frame in daemon.all_seen(model)]
        assert seen.index("Cancel") < seen.index("ForgetScope")
        assert seen.count("Generate") == 1

    tell(story)


def test_what_is_kept_cannot_become_private(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        session = (await daemon.post("/v1/sessions", {"model": daemon.model()})).json
        assert not session["private"]
        assert (await daemon.post("/v1/complete", say(session["id"], "hello", private=True))).status == 400
        assert (await daemon.get(f"/v1/sessions/{session['id']}")).status == 200

    tell(story)


@pytest.mark.parametrize(
    "wish",
    [
        {"private": True, "cache": False},
        {"cache": False, "require_cached": 5},
        {"cache": False, "require_cached": "prefix"},
        {"require_cached": 0},
        {"require_cached": -1},
        {"require_cached": 1 << 31},
    ],
)
def test_wishes_that_make_no_sense_are_refused(wish: dict[str, Any]) -> None:
    request = CompleteRequest(model="m", messages=[Message("user", ["?"])], **wish)
    with pytest.raises(RequestInvalid):
        check_complete(request)


def test_explain_asks_with_what_a_request_would_be_asked_with(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        adapters = [{"path": "/x", "scale": 0.5}]
        told = await daemon.post("/v1/cache/explain", ask(model, "hi", adapters=adapters, reproducible=True))
        assert (told.json["model"], told.json["session"], told.json["miss"]) == (model, None, None)
        (frame,) = daemon.seen(model, "Explain")
        assert frame["messages"] == [{"role": "user", "parts": ["hi"]}]
        assert (frame["history"], frame["adapters"], frame["reproducible"]) == (None, adapters, True)

    tell(story)


def test_a_conversation_is_explained_by_what_it_holds(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        session = (await daemon.post("/v1/sessions", {"model": model})).json["id"]
        assert (await daemon.post("/v1/cache/explain", {"session": session})).json["code"] == "prompt_empty"
        turn = {"session": session, "messages": [{"role": "user", "parts": ["hello"]}]}
        await daemon.post("/v1/complete", turn)
        standing = await daemon.post("/v1/cache/explain", {"session": session, "model": model})
        assert (standing.json["session"], standing.json["prompt_tokens"]) == (session, 12)
        await daemon.post("/v1/cache/explain", turn)
        first, second = daemon.seen(model, "Explain")
        assert [message["role"] for message in first["history"]["messages"]] == ["user", "assistant"]
        assert (first["messages"], second["messages"]) == ([], turn["messages"])
        other = await daemon.post("/v1/cache/explain", {"session": session, "model": daemon.model("b")})
        assert (other.status, other.json["code"]) == (400, "request_invalid")

    tell(story)


def test_explain_takes_the_system_prompt_that_a_lost_first_turn_came_with(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        session = (await daemon.post("/v1/sessions", {"model": model})).json["id"]
        lost = [{"role": "system", "parts": ["Be brief."]}, {"role": "user", "parts": ["die"]}]
        await daemon.post("/v1/complete", {"session": session, "messages": lost})
        await daemon.post("/v1/cache/explain", {"session": session, "messages": [{"role": "user", "parts": ["hi"]}]})
        (frame,) = daemon.seen(model, "Explain")
        assert [message["role"] for message in frame["messages"]] == ["system", "user"]

    tell(story)


def test_recompute_streams_progress_and_ends_with_what_was_found(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        done = await daemon.post("/v1/cache/recompute", {"model": model, "count": 2, "seed": 7})
        assert done.events() == ["recomputing", "recomputed"]
        assert (done.lines[-1]["model"], done.lines[-1]["seed"]) == (model, 7)
        failed = await daemon.post("/v1/cache/recompute", {"model": model, "count": 999})
        assert failed.events() == ["error"]
        missing = await daemon.post("/v1/cache/recompute", {"model": "/nothing.gguf", "count": 1})
        assert missing.status == 404

    tell(story)


def test_hanging_up_ends_a_recomputation(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        going = daemon.start("POST", "/v1/cache/recompute", {"model": model, "count": 500})
        await going.until_event("recomputing")
        await going.hang_up()
        await daemon.until_seen(model, "Cancel")
        (asked,), (cancelled,) = daemon.seen(model, "Recompute"), daemon.seen(model, "Cancel")
        assert asked["id"] == cancelled["id"]

    tell(story)


@pytest.mark.parametrize("body", [{"count": 0}, {"count": 1 << 31}, {"count": 1, "seed": -1}])
def test_a_recomputation_needs_sensible_numbers(tell: Tell, body: dict[str, int]) -> None:
    async def story(daemon: Daemon) -> None:
        refused = await daemon.post("/v1/cache/recompute", {"model": daemon.model(), **body})
        assert (refused.status, refused.json["code"]) == (400, "request_invalid")

    tell(story)


def test_without_room_for_its_turn_nothing_is_asked(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(daemon: Daemon) -> None:
        def refuse(_ballast: Ballast) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(Ballast, "take", refuse)
        model = daemon.model()
        session = (await daemon.post("/v1/sessions", {"model": model})).json["id"]
        response = await daemon.post("/v1/complete", {**ask("", "Hello?", session=session), "model": None})
        assert response.events() == ["accepted", "error"]
        assert response.lines[-1]["code"] == "disk_full"
        assert daemon.all_seen(model) == []

    tell(story)


def test_an_answer_that_cannot_be_written_is_named_and_in_the_conversation_once_it_can(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(daemon: Daemon) -> None:
        session = (await daemon.post("/v1/sessions", {"model": daemon.model()})).json["id"]

        def fail(*_arguments: object) -> int:
            raise SessionsUnusable(path="sessions", reason="database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr("erllama_daemon.sessions.turn_writer.insert_turn", fail)
            response = await daemon.post("/v1/complete", {**ask("", "Hello?", session=session), "model": None})
        assert response.events()[-2:] == ["token", "error"]
        assert response.lines[-1]["code"] == "turn_unwritten"
        shown = (await daemon.get(f"/v1/sessions/{session}")).json
        assert [message["parts"] for message in shown["messages"]] == [["Hello?"], ["Hello?"]]

    tell(story)


def test_the_list_of_conversations_says_that_they_were_damaged(tell: Tell) -> None:
    damaged = user_directories().sessions
    create_private(damaged.parent)
    damaged.write_bytes(b"noise" * 1000)

    async def story(daemon: Daemon) -> None:
        notice = (await daemon.get("/v1/sessions")).json["notice"]
        assert notice.startswith("The conversations were damaged on ")
        assert f"{damaged}.damaged-" in notice

    tell(story)
