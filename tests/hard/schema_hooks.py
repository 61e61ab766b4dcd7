"""What schemathesis is told: cases are kept short, and streams are looked at line by line."""

from __future__ import annotations

import json
import zlib
from functools import lru_cache
from typing import Any

import schemathesis
from jsonschema import Draft202012Validator
from schemathesis import Case, HookContext, Response
from schemathesis.checks import CheckContext
from schemathesis.core.failures import Failure

SHORT = 2
"""So many tokens are generated at most."""

_COUNTS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_tokens_to_sample", "n_predict")
_LIMITS = {"n": 2, "best_of": 2, "count": 3, "top_logprobs": 3}
_OPTIONS = {"context_size": 512, "parallel": 2, "threads": 2, "keep_alive_s": None, "gpu_layers": 0}
"""A model that is loaded with other options is loaded anew, and that takes time."""


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Half of the cases name what is there, a model or a conversation, and none generates much."""
    is_even = zlib.crc32(repr((case.path_parameters, case.body)).encode(errors="replace")) % 2 == 0
    if is_even and "id" in (case.path_parameters or {}) and _sessions and "sessions" in case.path:
        case.path_parameters = {**case.path_parameters, "id": _sessions[-1]}
    if isinstance(case.body, dict):
        case.body = _short(case.body, case.path, is_even=is_even)


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    """Remembers the conversations that began."""
    if case.method == "POST" and case.path == "/v1/sessions" and response.status_code == 200:
        _sessions.append(json.loads(response.content)["id"])


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """What the document gives of a stream is the data of its events, not events as schemathesis has them."""
    return failure.title != "SSE event violates schema"


_sessions: list[str] = []


def _short(body: dict[str, Any], path: str, *, is_even: bool) -> dict[str, Any]:
    short = dict(body)
    if isinstance(short.get("model"), str) and is_even:
        short["model"] = "demo"
    for name in (*_COUNTS, *_LIMITS):
        if _is_number(short.get(name)):
            short[name] = min(short[name], _LIMITS.get(name, SHORT))
    if path in _LONG_BY_DEFAULT and all(short.get(name) is None for name in _COUNTS):
        short[_LONG_BY_DEFAULT[path]] = SHORT
    if isinstance(short.get("options"), dict):
        short["options"] = {
            name: _OPTIONS[name] if name in _OPTIONS and _is_number(value) and value > 0 else value
            for name, value in short["options"].items()
        }
    return short


_LONG_BY_DEFAULT = {
    "/v1/complete": "max_tokens",
    "/v1/chat/completions": "max_tokens",
    "/v1/completions": "max_tokens",
    "/v1/responses": "max_output_tokens",
    "/completion": "n_predict",
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@schemathesis.check
def every_event_conforms(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Each line of a stream is one of the events that the document says come there."""
    kind = (response.headers.get("content-type") or [""])[0].partition(";")[0]
    if response.status_code != 200 or kind not in ("application/x-ndjson", "text/event-stream"):
        return
    document = case.operation.schema.raw_schema
    operation = document["paths"][case.operation.path][case.operation.method.lower()]
    schema = operation["responses"]["200"]["content"][kind]["schema"]
    validator = _validator(json.dumps(schema), json.dumps(document["components"]))
    for line in _events(response.content.decode(), kind):
        error = next(validator.iter_errors(json.loads(line)), None)
        assert error is None, f"{line}: {error.message if error else ''}"


def _events(text: str, kind: str) -> list[str]:
    if kind == "application/x-ndjson":
        return text.splitlines()
    lines = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: "))
    return [line for line in lines if line != "[DONE]"]


@lru_cache
def _validator(schema: str, components: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(schema), "components": json.loads(components)})
