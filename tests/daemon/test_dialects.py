"""What every API that the daemon speaks has in common: statuses, hints, ends of answers, defects."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from daemon.application import Daemon, Tell, tell_in
from daemon.fake_worker import stats
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors import (
    ContextExceeded,
    DaemonStopping,
    ModelUnknown,
    NotCached,
    PromptEmpty,
    RequestInvalid,
    TemplateFailed,
)
from erllama_daemon.http.anthropic.failure import failed as anthropic_failed
from erllama_daemon.http.anthropic.reply import stop_reason
from erllama_daemon.http.app import create_app
from erllama_daemon.http.body import failure_response
from erllama_daemon.http.endpoint import GONE, Endpoint, Refusals
from erllama_daemon.http.gate import Gate
from erllama_daemon.http.llama_server.failure import failed as llama_server_failed
from erllama_daemon.http.openai.chat_answer import ChatChoice
from erllama_daemon.http.openai.failure import failed as openai_failed
from erllama_daemon.http.openai.response_answer import OpenAiResponse
from erllama_daemon.http.openai.response_request import ResponseRequest
from erllama_daemon.messages import ToolCall

Failed = Callable[[Exception], Response]
DIALECTS: tuple[Failed, ...] = (failure_response, openai_failed, anthropic_failed, llama_server_failed)


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    return tell_in(tmp_path)


async def nothing() -> Any:
    raise AssertionError("nobody reads what is refused")


def asked_of(error: Exception, failed: Failed) -> Response:
    """What an endpoint answers whose handler fails so."""

    async def handler(_request: Request) -> Response:
        """Fails."""
        raise error

    endpoint = Endpoint(method="GET", path="/x", handler=handler, failed=failed)
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b""}
    return asyncio.run(endpoint._respond(Request(scope)))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestInvalid(reason="x"), 400),
        (TemplateFailed(reason="roles must alternate"), 400),
        (NotCached(cached=1, demanded=2, tokens=3, model="m"), 412),
        (DaemonStopping(), 503),
    ],
    ids=lambda given: str(given)[:20],
)
def test_an_error_has_one_status_in_every_api(error: ErllamaError, status: int) -> None:
    assert [asked_of(error, failed).status_code for failed in DIALECTS] == [status] * len(DIALECTS)


@pytest.mark.parametrize("failed", DIALECTS[1:])
def test_a_program_is_not_told_of_options_of_the_command_line(failed: Failed) -> None:
    for error in (RequestInvalid(reason="x"), ContextExceeded(tokens=2, limit=1), PromptEmpty()):
        assert msgspec.json.decode(asked_of(error, failed).body)["error"].get("hint") is None
        assert b'"hint":null' in bytes(asked_of(error, failed).body)
    hint = str(TemplateFailed.hint)[:20].encode()
    assert hint in bytes(asked_of(TemplateFailed(reason="x"), failed).body)


@pytest.mark.parametrize("failed", DIALECTS[1:3])
def test_a_model_that_is_not_there_is_told_with_what_can_be_done(failed: Failed) -> None:
    error = ModelUnknown(model="m", stores=["hub"], near=["max"])
    message = msgspec.json.decode(asked_of(error, failed).body)["error"]["message"]
    assert "Did you mean max?" in message and "erllama models alias NAME MODEL" in message


@pytest.mark.parametrize("failed", DIALECTS)
def test_a_defect_is_told_and_logged_with_where_it_is(failed: Failed, caplog: pytest.LogCaptureFixture) -> None:
    assert asked_of(ValueError("a defect"), failed).status_code == 500
    (record,) = caplog.records
    assert record.exc_info is not None and isinstance(record.exc_info[1], ValueError)


def test_a_client_that_is_gone_is_no_defect(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert asked_of(ClientDisconnect(), failure_response).status_code == GONE
    assert caplog.records == []


def test_an_answer_that_was_cut_off_says_so_in_every_api_whatever_it_has_called() -> None:
    cut = msgspec.structs.replace(
        stats(""), finish_reason="length", completion_tokens=9, tool_calls=[ToolCall("c1", "look", "{}")]
    )
    whole = msgspec.structs.replace(cut, finish_reason="stop")

    def told(ended: Any) -> tuple[str, str, str]:
        begun = OpenAiResponse.begun("resp_1", 0, ResponseRequest(model="m", input="x"))
        return ChatChoice.of(0, ended).finish_reason, begun.ended(ended, []).status, stop_reason(ended, 9)

    assert told(cut) == ("length", "incomplete", "max_tokens")
    assert told(whole) == ("tool_calls", "completed", "tool_use")


ASKED = [{"role": "user", "content": "say then hang"}]


@pytest.mark.parametrize(
    ("path", "body", "said", "name", "error"),
    [
        ("/v1/chat/completions", {"messages": ASKED}, b'"content":"s', "", {"code": "worker_died"}),
        ("/v1/messages", {"messages": ASKED, "max_tokens": 9}, b"text_delta", "error", {"type": "api_error"}),
        (
            "/v1/responses",
            {"input": "say then hang"},
            b"output_text.delta",
            "response.failed",
            {"code": "server_error", "error_code": "worker_died"},
        ),
    ],
)
def test_a_stream_that_fails_in_the_middle_ends_in_the_error_that_clients_know(
    tell: Tell, path: str, body: dict[str, Any], said: bytes, name: str, error: dict[str, str]
) -> None:
    async def story(daemon: Daemon) -> None:
        response = daemon.start("POST", path, {"model": daemon.model(), "stream": True, **body})
        while said not in response.body and not response.task.done():
            await asyncio.sleep(0.001)
        os.kill((await daemon.status())[0]["pid"], signal.SIGKILL)
        await response.task
        last, told = response.named_events[-1]
        assert response.status == 200 and last == name
        found = told.get("response", told)["error"]
        assert error.items() <= found.items() and "SIGKILL" in found["message"]

    tell(story)


def test_a_daemon_that_is_ending_refuses_in_the_words_of_the_api_that_is_asked(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        gate = Gate()
        app = gate.around(create_app(daemon.app), Refusals(daemon.app.endpoints()))
        gate.is_shut = True

        async def told(path: str) -> Any:
            sent: list[Any] = []

            async def send(message: Any) -> None:
                sent.append(message)

            await app({"type": "http", "method": "POST", "path": path, "headers": []}, nothing, send)
            head, body = sent
            assert head["status"] == 503
            return msgspec.json.decode(body["body"])

        assert (await told("/v1/complete"))["code"] == "daemon_stopping"
        assert (await told("/v1/chat/completions"))["error"]["code"] == "daemon_stopping"
        assert (await told("/v1/messages"))["error"]["details"]["error_code"] == "daemon_stopping"
        assert (await told("/completion"))["error"]["type"] == "unavailable_error"

    tell(story)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embedding"])
def test_a_client_that_hangs_up_is_waited_for_by_no_vectors(tell: Tell, tmp_path: Path, path: str) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model(load_gate=str(tmp_path / "gate"))
        response = daemon.start("POST", path, {"model": model, "input": "a"})
        await daemon.until_seen(model, "Configure")
        await asyncio.wait_for(response.hang_up(), 10)
        (tmp_path / "gate").touch()

    tell(story)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_client_that_hangs_up_before_its_answer_is_refused_nothing(
    tell: Tell, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        asked = {"messages": [{"role": "user", "content": "hang"}], "max_tokens": 9}
        response = daemon.start("POST", path, {"model": model, **asked})
        await daemon.until_seen(model, "Generate")
        await response.hang_up()
        counted = (await daemon.get("/metrics")).body.decode()
        assert f'code="none",dialect="{DIALECT_OF[path]}",endpoint="{path}"' in counted and 'code="500"' not in counted

    tell(story)
    assert not [record for record in caplog.records if "refused" in record.getMessage()]


DIALECT_OF = {
    "/v1/chat/completions": "openai",
    "/v1/messages": "anthropic",
}


@pytest.mark.parametrize(
    ("path", "headers", "shape", "message"),
    [
        ("/chat/completions", {}, "openai", "Did you mean /v1/chat/completions?"),
        ("/v1/v1/chat/completions", {}, "openai", "Did you mean /v1/chat/completions?"),
        ("/v1/completion", {}, "openai", "Did you mean /completion?"),
        ("/v1/images/generations", {}, "openai", "docs/http.md"),
        ("/v1/models", {}, "openai", "nothing at POST"),
        ("/messages", {}, "anthropic", "Did you mean /v1/messages?"),
        ("/v1/messages/batches", {}, "anthropic", "docs/http.md"),
        ("/v1/files", {"anthropic-version": "2023-06-01"}, "anthropic", "docs/http.md"),
        ("/v1/sessions/a/b/c", {}, "erllama", "nothing at POST"),
    ],
)
def test_a_path_of_nobody_is_told_so_in_the_words_of_the_api_that_was_meant(
    tell: Tell, path: str, headers: dict[str, str], shape: str, message: str
) -> None:
    async def story(daemon: Daemon) -> None:
        response = daemon.start("POST", path, {}, headers)
        await response.task
        body = response.json
        assert response.status == 404
        if shape == "erllama":
            assert (body["code"], message in body["message"]) == ("endpoint_unknown", True)
            return
        code = body["error"]["code"] if shape == "openai" else body["error"]["details"]["error_code"]
        assert (code, message in body["error"]["message"]) == ("endpoint_unknown", True)

    tell(story)


def test_an_answer_is_cancelled_once_however_many_say_so(tell: Tell) -> None:
    async def story(daemon: Daemon) -> None:
        model = daemon.model()
        response = daemon.start("POST", "/v1/responses", {"model": model, "input": "hang"})
        await daemon.until_seen(model, "Generate")
        daemon.app.answers.cancel_all()
        daemon.app.answers.cancel_all()
        await response.task
        assert len(daemon.seen(model, "Cancel")) == 1

    tell(story)
