"""OpenAI's own Python package, unmodified, against a daemon on its Unix socket and on TCP."""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from conftest import STORES, XDG, kill_processes
from openai import AsyncOpenAI, OpenAI
from tiny_embedder import write_tiny_embedder

URL = "http://erllama/v1"
SYSTEM: Any = {
    "role": "system",
    "content": "You are a guide on a farm of llamas. You know all of them by their names.",
}
QUESTION: Any = {"role": "user", "content": "What do llamas eat? Answer in one word."}
SHORT: dict[str, Any] = {"model": "demo", "max_tokens": 4, "temperature": 0}
SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A daemon in folders of its own, which every test of this module asks."""
    folder = Path(tempfile.mkdtemp(prefix="erl-", dir="/tmp"))
    environment = {name: value for name, value in os.environ.items() if name not in STORES}
    for name in XDG:
        environment[name] = str(folder / name[4:-5].lower())
        Path(environment[name]).mkdir(mode=0o700)
    environment |= {"HOME": str(folder), "OLLAMA_MODELS": str(folder / "ollama"), "OMP_WAIT_POLICY": "passive"}
    environment |= {"ERLLAMA_DAEMON_HTTP_MODEL_FOLDERS": str(folder / "models")}

    def erllama(*words: str) -> str:
        command = [sys.executable, "-m", "erllama_cli", *words]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout

    try:
        erllama("daemon", "start", "--http", "127.0.0.1:0")
        (folder / "url").write_text(json.loads(erllama("daemon", "status", "--json"))["url"])
        (folder / "key").write_text(erllama("daemon", "key").strip())
        yield folder
        erllama("daemon", "stop")
    finally:
        kill_processes(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def socket(home: Path) -> str:
    return str(next(home.glob("*/erllama/daemon.sock")))


@pytest.fixture(params=["unix", "tcp"])
def client(request: pytest.FixtureRequest, home: Path, socket: str) -> Iterator[Any]:
    """OpenAI's own; its types are narrower than what a test asks."""
    url, key, transport = URL, "none", httpx2.HTTPTransport(uds=socket)
    if request.param == "tcp":
        url, key, transport = f"{(home / 'url').read_text()}/v1", (home / "key").read_text(), httpx2.HTTPTransport()
    with OpenAI(
        base_url=url, api_key=key, max_retries=0, http_client=httpx2.Client(transport=transport, timeout=100)
    ) as opened:
        yield opened


def test_a_conversation_that_is_sent_again_is_found_in_the_cache(client: Any) -> None:
    messages: list[Any] = [SYSTEM, {"role": "user", "content": f"{client.base_url} What do llamas eat?"}]
    first = client.chat.completions.create(messages=messages, **SHORT)
    said = first.choices[0].message
    messages += [{"role": "assistant", "content": said.content}, {"role": "user", "content": "And drink?"}]
    raw = client.chat.completions.with_raw_response.create(messages=messages, **SHORT)
    usage = raw.parse().usage
    assert usage is not None and usage.prompt_tokens_details is not None
    assert (usage.prompt_tokens_details.cached_tokens or 0) > 0
    assert raw.headers["x-erllama-cache"].startswith("partial; reused=")

    options = {"include_usage": True}
    whole = client.chat.completions.with_raw_response
    streamed = whole.create(messages=messages, **SHORT, stream=True, stream_options=options)
    assert streamed.headers["x-erllama-cache"].startswith("exact; reused=")
    chunks = list(streamed.parse())
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == raw.parse().choices[0].message.content
    last = chunks[-1].usage
    assert last is not None and last.prompt_tokens_details is not None
    assert last.prompt_tokens_details.cached_tokens == last.prompt_tokens == usage.prompt_tokens


def test_a_call_and_its_result_are_sent_again_and_all_that_was_read_and_written_is_in_the_cache(client: Any) -> None:
    city = {"enum": ["Lima", "Cuzco"]}
    parameters = {"type": "object", "properties": {"city": city}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "herd", "description": "The herd.", "parameters": parameters}}]
    messages: list[Any] = [SYSTEM, {"role": "user", "content": "How many llamas are in Cuzco?"}]
    asked: dict[str, Any] = {**SHORT, "max_tokens": 60, "tools": tools, "parallel_tool_calls": False}
    first = client.chat.completions.create(**asked, messages=messages, tool_choice="required")
    (choice,) = first.choices
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, call.function.name) == ("tool_calls", "herd")
    assert json.loads(call.function.arguments)["city"] in city["enum"]
    chunks = client.chat.completions.create(**asked, messages=messages, tool_choice="required", stream=True)
    streamed = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert "".join(each.function.arguments for each in streamed) == call.function.arguments

    messages += [choice.message.model_dump(exclude_none=True)]
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "Seven."}]
    answered = client.chat.completions.create(**asked | {"max_tokens": 8}, messages=messages)
    assert answered.choices[0].message.content
    assert answered.usage.prompt_tokens_details.cached_tokens >= first.usage.total_tokens


def test_several_answers_read_their_prompt_once_and_a_seed_gives_them_again(client: Any) -> None:
    asked: dict[str, Any] = {**SHORT, "messages": [QUESTION], "n": 2, "temperature": 1.5, "seed": 7}
    alone = {"erllama": {"reproducible": True}}
    first, again = (client.chat.completions.create(**asked, extra_body=alone) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert [choice.message.content for choice in again.choices] == texts
    assert first.choices[1].model_extra["erllama"]["cached_tokens"] == first.usage.prompt_tokens
    assert first.system_fingerprint == again.system_fingerprint
    interleaved = list(client.chat.completions.create(**asked, stream=True))
    assert {chunk.choices[0].index for chunk in interleaved} == {0, 1}


def test_what_comes_can_be_bent_and_measured(client: Any) -> None:
    asked: dict[str, Any] = {**SHORT, "messages": [QUESTION], "logprobs": True, "top_logprobs": 2}
    plain = client.chat.completions.create(**asked).choices[0]
    assert plain.logprobs is not None and plain.logprobs.content is not None
    tokens = plain.logprobs.content
    assert "".join(token.token for token in tokens) == plain.message.content
    assert all(token.top_logprobs[0].logprob >= token.logprob for token in tokens)
    streamed = [
        token.token
        for chunk in client.chat.completions.create(**asked, stream=True)
        for token in (chunk.choices[0].logprobs and chunk.choices[0].logprobs.content) or []
    ]
    assert streamed == [token.token for token in tokens]

    stopped = client.chat.completions.create(**asked, stop=tokens[1].token).choices[0]
    assert (stopped.message.content, stopped.finish_reason) == (tokens[0].token, "stop")
    (number,) = tokenized(client, tokens[0].token)
    bent = client.chat.completions.create(**asked, logit_bias={str(number): -100}).choices[0]
    assert bent.message.content != plain.message.content
    form: Any = {"type": "json_schema", "json_schema": {"name": "ok", "schema": SCHEMA}}
    formed = client.chat.completions.create(**{**SHORT, "max_tokens": 30}, messages=[QUESTION], response_format=form)
    assert isinstance(json.loads(formed.choices[0].message.content)["ok"], bool)


def tokenized(client: Any, text: str) -> list[int]:
    """What no endpoint of OpenAI's tells."""
    url = str(client.base_url).replace("/v1/", "/tokenize")  # llama.cpp's
    answer = client.post(url, body={"model": "demo", "content": text}, cast_to=httpx2.Response)
    tokens: list[int] = answer.json()["tokens"]
    return tokens


def test_texts_go_on(client: Any) -> None:
    prompts = ["One, two, three,", [28, 29]]
    whole = client.completions.create(model="demo", prompt=prompts, max_tokens=3, temperature=0, logprobs=1)
    assert [choice.index for choice in whole.choices] == [0, 1]
    assert whole.choices[0].logprobs is not None
    assert "".join(whole.choices[0].logprobs.tokens or []) == whole.choices[0].text
    pieces = client.completions.create(
        model="demo",
        prompt=prompts[0],
        max_tokens=3,
        temperature=0,
        stream=True,
    )
    assert "".join(piece.choices[0].text for piece in pieces) == whole.choices[0].text


def test_texts_are_embedded(client: Any, home: Path) -> None:
    (home / "models").mkdir(exist_ok=True)
    model = str(write_tiny_embedder(home / "models" / "embedder.gguf"))
    default = client.embeddings.create(model=model, input=["a llama hums", "tax law"])
    plain = client.embeddings.create(model=model, input="a llama hums", encoding_format="float")
    assert default.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert math.fsum(number * number for number in plain.data[0].embedding) == pytest.approx(1.0, abs=1e-5)
    assert plain.usage.prompt_tokens > 0
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model=model, input="x", dimensions=3)


def test_a_response_goes_on_from_the_one_before(client: Any) -> None:
    instructions = SYSTEM["content"]
    asked: dict[str, Any] = {"model": "demo", "temperature": 0, "instructions": instructions}
    first = client.responses.create(**asked, input="What do llamas eat?", max_output_tokens=4)
    assert first.output_text and first.status == "incomplete"
    assert first.usage is not None
    with client.responses.stream(
        **asked, input="Say no.", previous_response_id=first.id, max_output_tokens=4, text={"format": {"type": "text"}}
    ) as stream:
        events = list(stream)
    assert events[0].type == "response.created"
    last = events[-1]
    assert last.type in ("response.incomplete", "response.completed") and last.response.usage is not None
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == last.response.output_text
    read = first.usage.total_tokens
    assert last.response.usage.input_tokens_details.cached_tokens >= read - 1
    assert last.response.usage.input_tokens > read
    third = client.responses.create(
        **asked, input="And now?", previous_response_id=last.response.id, max_output_tokens=1
    )
    assert third.usage is not None
    assert third.usage.input_tokens_details.cached_tokens > last.response.usage.input_tokens_details.cached_tokens


def test_errors_are_those_that_clients_catch(client: Any) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="no-such", messages=[QUESTION])
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no/such:model")
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(**SHORT, messages=[{"role": "user", "content": "x " * 20_000}])
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as gone:
        client.responses.create(model="demo", input="x", previous_response_id="resp_" + "0" * 64)
    assert gone.value.code == "previous_response_not_found"
    assert client.models.retrieve("demo").id in [model.id for model in client.models.list()]


def test_the_asynchronous_client_and_curl_ask_the_same(socket: str) -> None:
    async def ask() -> str:
        transport = httpx2.AsyncHTTPTransport(uds=socket)
        http = httpx2.AsyncClient(transport=transport, timeout=100)
        async with AsyncOpenAI(base_url=URL, api_key="none", max_retries=0, http_client=http) as client:
            asked: Any = client.chat.completions
            stream = await asked.create(**SHORT, messages=[QUESTION], stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    body = json.dumps({**SHORT, "messages": [QUESTION]})
    curl = ["curl", "-sS", "--unix-socket", socket, f"{URL}/chat/completions", "-d", body]
    answer = json.loads(subprocess.run(curl, check=True, capture_output=True, timeout=100).stdout)
    assert answer["choices"][0]["message"]["content"] == asyncio.run(ask())
