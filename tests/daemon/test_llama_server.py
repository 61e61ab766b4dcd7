"""The endpoints of llama.cpp's own server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from daemon.application import Daemon, Tell, tell_in
from daemon.fake_worker import stats

from erllama_daemon.directories import create_private, user_directories
from erllama_daemon.errors import ContextExceeded, FieldRefused, RequestInvalid, SlotsBusy
from erllama_daemon.http.answering.asking import TO_THE_END
from erllama_daemon.http.door import ENTERED, Entered
from erllama_daemon.http.llama_server import state_endpoints
from erllama_daemon.http.llama_server.completion_answer import completion_of
from erllama_daemon.http.llama_server.completion_request import ServerCompletionRequest
from erllama_daemon.http.llama_server.failure import failed
from erllama_daemon.messages import CompleteRequest, Sampling, TokenLogprob, TokenLogprobs


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    return tell_in(tmp_path)


def request_of(**body: object) -> ServerCompletionRequest:
    return msgspec.convert({"prompt": "ab", **body}, ServerCompletionRequest)


def asked(**body: object) -> CompleteRequest:
    async def tokens(text: str, first: bool) -> list[int]:
        return [*([1] if first else []), *text.encode()]

    return asyncio.run(request_of(**body).complete("m", tokens))


def configure(text: str) -> None:
    directories = user_directories()
    create_private(directories.config_file.parent)
    directories.config_file.write_text(text)


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [("ab", [1, 97, 98]), ([5, 6], [5, 6]), (["a", 6, "b"], [1, 97, 6, 98]), ([6, "b"], [6, 98]), (["a"], [1, 97])],
)
def test_a_prompt_is_a_text_or_tokens_and_texts(prompt: object, tokens: list[int]) -> None:
    assert asked(prompt=prompt).tokens == tokens


def test_the_sampler_is_as_asked_for_and_else_that_of_llama_cpp() -> None:
    request = asked(
        n_predict=7,
        temperature=0.25,
        top_k=3,
        top_p=0.5,
        min_p=0.125,
        repeat_penalty=1.5,
        frequency_penalty=0.25,
        presence_penalty=0.5,
        seed=11,
        stop=["\n", ""],
        json_schema={"type": "object"},
        n_probs=2,
        cache_prompt=False,
        logit_bias=[[3, 1.5], [4, False], ["b", -2]],
        mirostat=0,
        typical_p=1.0,
        xtc_probability=0,
        ignore_eos=False,
        image_data=[],
        samplers=["top_k"],
    )
    assert request.sampling == Sampling(
        temperature=0.25,
        top_k=3,
        top_p=0.5,
        min_p=0.125,
        repeat_penalty=1.5,
        frequency_penalty=0.25,
        presence_penalty=0.5,
        seed=11,
        json_schema='{"type":"object"}',
        logit_bias={3: 1.5, 4: -1e30, 98: -2.0},
    )
    assert (request.max_tokens, request.stop, request.logprobs, request.cache) == (7, ["\n"], 2, False)
    plain = asked(grammar="", seed=-1, json_schema=None, stop="x", n_predict=-1)
    assert plain == CompleteRequest(model="m", tokens=[1, 97, 98], max_tokens=TO_THE_END, stop=["x"])
    assert asked(logit_bias={"98": 1, "b": False}).sampling.logit_bias == {98: -1e30}
    assert asked(logit_bias={"9" * 5000: 1}).sampling.logit_bias == {57: 1.0}
    assert asked(temperature=-1, top_k=-1, seed=2**32 - 1).sampling == Sampling(temperature=0.0, top_k=0)
    assert asked(grammar='root ::= "x"').sampling.grammar == 'root ::= "x"'
    assert asked(return_tokens=True).logprobs == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"prompt": ["a", "b"]}, "several prompts"),
        ({"lora": [{"id": 0, "scale": 1}]}, "lora"),
        ({"logit_bias": [[1, True]]}, "logit_bias"),
        ({"logit_bias": [["a", 1]] * 257}, "logit_bias has more than 256 texts"),
        ({"prompt": [1, *["a"] * 257]}, "prompt has more than 256 texts"),
        ({"mirostat": 2}, "mirostat"),
        ({"typical_p": 0.5}, "typical_p"),
        ({"top_n_sigma": 1}, "top_n_sigma"),
        ({"dynatemp_range": 0.5}, "dynatemp_range"),
        ({"dry_multiplier": 0.8}, "dry_multiplier"),
        ({"xtc_probability": 0.5}, "xtc_probability"),
        ({"ignore_eos": True}, "ignore_eos"),
        ({"n_indent": 4}, "n_indent"),
        ({"n_cmpl": 2}, "n_cmpl"),
        ({"t_max_predict_ms": 100}, "t_max_predict_ms"),
        ({"post_sampling_probs": True}, "post_sampling_probs"),
        ({"image_data": [{"data": "", "id": 1}]}, "image_data"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(body: dict[str, Any], reason: str) -> None:
    with pytest.raises((RequestInvalid, FieldRefused), match=reason):
        asked(**body)


@pytest.mark.parametrize(
    ("ended", "kind"),
    [
        ({"finish_reason": "stop"}, "eos"),
        ({"finish_reason": "length"}, "limit"),
        ({"finish_reason": "stop", "stop_sequence": "\n"}, "word"),
    ],
)
def test_why_an_answer_has_stopped(ended: dict[str, Any], kind: str) -> None:
    told = msgspec.structs.replace(stats("a"), **ended)
    answer = completion_of(request_of(), Sampling(), told, "m")
    assert (answer.stop_type, answer.stopping_word) == (kind, ended.get("stop_sequence", ""))


def test_an_answer_tells_its_tokens_their_probabilities_and_what_it_took() -> None:
    tokens = [
        TokenLogprobs(9, "a", -0.5, [TokenLogprob(8, "\ufffd", -1.0)]),
        TokenLogprobs(2, "", -0.25, []),
    ]
    told = msgspec.structs.replace(
        stats("a\n", thinking="hm"),
        logprobs=tokens,
        prompt_tokens=5,
        cached_tokens=3,
        completion_tokens=2,
        prefill_ms=4.0,
        generation_ms=8.0,
    )
    request = request_of(n_probs=1, return_tokens=True, n_predict=4, stop="x")
    answer = msgspec.to_builtins(completion_of(request, Sampling(top_k=3), told, "m"))
    assert answer["content"] == "hma\n"
    assert (answer["tokens"], answer["has_new_line"], answer["prompt"]) == ([9], True, "ab")
    assert (answer["tokens_evaluated"], answer["tokens_cached"], answer["tokens_predicted"]) == (5, 3, 2)
    assert answer["completion_probabilities"] == [
        {
            "id": 9,
            "token": "a",
            "bytes": [97],
            "logprob": -0.5,
            "top_logprobs": [{"id": 8, "token": "\ufffd", "bytes": [], "logprob": -1.0}],
        }
    ]
    timings = answer["timings"]
    assert (timings["cache_n"], timings["prompt_n"], timings["prompt_per_second"]) == (3, 2, 500.0)
    assert (timings["predicted_n"], timings["predicted_per_token_ms"]) == (2, 4.0)
    settings = answer["generation_settings"]
    assert (settings["n_predict"], settings["top_k"], settings["stop"]) == (4, 3, ["x"])


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (RequestInvalid(reason="x"), 400, "invalid_request_error"),
        (ContextExceeded(tokens=9, limit=8), 400, "exceed_context_size_error"),
        (SlotsBusy(count=1), 503, "unavailable_error"),
        (ValueError("x"), 500, "server_error"),
    ],
)
def test_errors_have_the_status_and_the_type_that_clients_know(error: Exception, status: int, kind: str) -> None:
    response = failed(error)
    told = msgspec.json.decode(bytes(response.body))["error"]
    assert (response.status_code, told["code"], told["type"]) == (status, status, kind)


def test_a_completion_over_http_whole_and_as_it_comes(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(answers={"tokens": "well then"})
        whole = await daemon.post("/completion", {"prompt": "ab", "model": model, "unknown": 1})
        assert whole.json["content"] == "well then"
        assert (whole.json["stop"], whole.json["model"]) == (True, model)
        assert whole.headers["x-erllama-cache"].startswith("cold; reused=0")
        assert (await daemon.post("/completion", {"prompt": [7], "stream": True})).sent[0]["stop"] is False
        streamed = await daemon.post("/completion", {"prompt": [7], "stream": True})
        assert streamed.headers["content-type"].startswith("text/event-stream")
        pieces = streamed.sent
        assert [piece["content"] for piece in pieces] == ["well then", ""]
        assert pieces[-1]["stop_type"] == "eos"

    tell(story)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_cancels(tell: Tell, stream: bool) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(answers={"tokens": "hang"})
        response = daemon.start("POST", "/completion", {"prompt": [7], "model": model, "stream": stream})
        await daemon.until_seen(model, "Generate")
        await response.hang_up()
        await daemon.app.answers.finish()
        assert len(daemon.seen(model, "Cancel")) == 1

    tell(story)


@pytest.mark.parametrize("stream", [True, False])
def test_what_fails_is_told_as_llama_cpp_tells_it(tell: Tell, stream: bool) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(answers={"tokens": "busy"})
        response = await daemon.post("/completion", {"prompt": [7], "model": model, "stream": stream})
        assert (response.status, response.json["error"]["type"]) == (503, "unavailable_error")
        unknown = await daemon.post("/completion", {"prompt": [7], "model": "nothing", "stream": stream})
        assert (unknown.status, unknown.json["error"]["type"]) == (404, "not_found_error")

    tell(story)


def test_without_a_name_the_one_loaded_model_is_meant_or_the_alias_default(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        nothing = await daemon.post("/tokenize", {"content": "ab"})
        assert nothing.status == 400
        assert "none is loaded" in nothing.json["error"]["message"]
        first, second = daemon.model("a"), daemon.model("b")
        assert (await daemon.post(f"/tokenize?model={first}", {"content": "ab"})).json == {"tokens": [97, 98]}
        assert (await daemon.post("/tokenize", {"content": "ab"})).status == 200
        assert (await daemon.post("/tokenize", {"content": "ab", "model": second})).status == 200
        several = await daemon.post("/tokenize", {"content": "ab"})
        assert several.status == 400
        assert first in several.json["error"]["message"]
        configure(f'[aliases]\ndefault = "{second}"\n')
        assert (await daemon.post("/tokenize", {"content": "ab"})).status == 200
        assert len(daemon.seen(second, "Tokenize")) == 2

    tell(story)


def test_texts_tokens_prompts_and_vectors(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        pieces = await daemon.post("/tokenize", {"content": "ab", "with_pieces": True, "model": model})
        assert pieces.json == {"tokens": [{"id": 97, "piece": "a"}, {"id": 98, "piece": "b"}]}
        await daemon.post("/tokenize", {"content": "ab", "add_special": True})
        assert [frame["first"] for frame in daemon.seen(model, "Tokenize")] == [False, True]
        assert (await daemon.post("/detokenize", {"tokens": [1]})).json == {"content": "01000000"}
        messages = [
            {"role": "developer", "content": "A"},
            {"role": "user", "content": [{"type": "text", "text": "B"}]},
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "C", "tool_call_id": "c"},
        ]
        assert (await daemon.post("/apply-template", {"messages": messages})).json == {"prompt": "ABC"}
        picture = [{"role": "user", "content": [{"type": "image_url"}]}]
        refused = await daemon.post("/apply-template", {"messages": picture})
        assert "messages[0].content[0].type is not supported" in refused.json["error"]["message"]
        vectors = [{"index": index, "embedding": [[1.0]]} for index in range(2)]
        assert (await daemon.post("/embedding", {"content": "a"})).json == vectors[:1]
        assert (await daemon.post("/embeddings", {"input": ["a", "b"]})).json == vectors
        assert (await daemon.post("/embedding", {"content": "a", "embd_normalize": 0})).status == 400
        assert (await daemon.post("/embedding", {})).status == 400

    tell(story)


def test_what_the_server_is_and_how_many_slots_are_taken(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        for path in ("/health", "/v1/health"):
            assert (await daemon.get(path)).json == {"status": "ok"}
        assert (await daemon.get("/slots")).json == []
        model = daemon.model()
        hanging = daemon.start(
            "POST", "/v1/complete", {"model": model, "messages": [{"role": "user", "parts": ["hang"]}]}
        )
        await hanging.until_event("prefilling")
        slots = (await daemon.get("/slots?fail_on_no_slot=1")).json
        assert [slot["is_processing"] for slot in slots] == [True, False, False, False]
        assert [slot["id"] for slot in slots] == [0, 1, 2, 3]
        other = daemon.model("other")
        assert (await daemon.get(f"/slots?model={other}")).json == []
        await hanging.hang_up()

    tell(story)


def test_where_a_model_lies_is_told_to_its_owner_alone(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_endpoints, "template_source", lambda _path: "")

    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        assert (await daemon.get(f"/props?model={model}")).json["model_path"] == model
        ENTERED.set(Entered("tcp"))
        properties = (await daemon.get("/props")).json
        assert (properties["model_path"], properties["model_alias"]) == ("a.gguf", "a.gguf")
        assert {slot["model"] for slot in (await daemon.get("/slots")).json} == {"a.gguf"}

    tell(story)


def test_a_slot_can_be_asked_for(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        body = {"model": model, "messages": [{"role": "user", "parts": ["hang"]}], "options": {"parallel": 1}}
        hanging = daemon.start("POST", "/v1/complete", body)
        await hanging.until_event("prefilling")
        refused = await daemon.get("/slots?fail_on_no_slot=1")
        assert (refused.status, refused.json["error"]["type"]) == (503, "unavailable_error")
        assert (await daemon.get("/slots")).status == 200
        await hanging.hang_up()

    tell(story)


def test_the_scale_of_each_attached_adapter_is_set_and_that_of_those_not_named_is_none(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        for path in ("/one", "/two"):
            await daemon.post("/v1/adapters/load", {"model": model, "adapter": path})
        attached = (await daemon.get("/lora-adapters")).json
        assert attached == [{"id": 0, "path": "/one", "scale": 1.0}, {"id": 1, "path": "/two", "scale": 1.0}]
        assert (await daemon.post("/lora-adapters", [{"id": 1, "scale": 0.5}])).json == {"success": True}
        scaled = [(frame["adapter"].rstrip("0"), frame["scale"]) for frame in daemon.seen(model, "ScaleAdapter")]
        assert scaled == [("one", 0.0), ("two", 0.5)]
        unknown = await daemon.post("/lora-adapters", [{"id": 2, "scale": 0.5}])
        assert (unknown.status, unknown.json["error"]["type"]) == (400, "invalid_request_error")

    tell(story)
