"""Errors in the shape and with the statuses that OpenAI's clients know."""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from starlette.responses import Response

from erllama_daemon.errors import FieldRefused
from erllama_daemon.failures import failure_of
from erllama_daemon.http.body import hint_of, json_response, message_of, status_of
from erllama_daemon.messages import Failure

_STATUS_OF_CODE = {
    "context_exceeded": 400,
    "not_supported": 400,
    "parent_unknown": 400,
    "busy": 429,
}
"""Where they differ from erllama's own: clients ask again by themselves after a 409, a 429 and any 5xx."""

_CODE_OF_CODE = {
    "context_exceeded": "context_length_exceeded",
    "model_missing": "model_not_found",
    "model_unknown": "model_not_found",
    "model_ambiguous": "model_not_found",
    "demo_model_missing": "model_not_found",
    "api_key_missing": "invalid_api_key",
    "api_key_wrong": "invalid_api_key",
    "busy": "rate_limit_exceeded",
    "field_refused": "unsupported_parameter",
    "parent_unknown": "previous_response_not_found",
    "response_unknown": "previous_response_not_found",
}
_TYPE_OF_STATUS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_PARAM_OF_CODE = {
    "model_not_found": "model",
    "previous_response_not_found": "previous_response_id",
    "model_not_named": "model",
}
_PLACE = re.compile(r"at `\$\.?([^`]+)`")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_LIMIT = re.compile(
    r"not valid: (max_tokens|temperature|top_p|frequency_penalty|presence_penalty|logit_bias|seed) (?:must|has) "
)
_RETRY_AFTER_S = "1"


class OpenAiError(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong. `param` is the field that is to blame, and `hint` what can be done about it."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None
    hint: str | None = None


ResponseCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]


class ResponseError(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong with a response: one of three codes, the code that any other error would have, and a hint."""

    code: ResponseCode
    message: str
    error_code: str
    hint: str | None

    @classmethod
    def of(cls, failure: Failure) -> ResponseError:
        """A failure as a response tells of it."""
        error, status = told(failure), _status(failure)
        code: ResponseCode = "server_error" if status >= 500 else "invalid_prompt"
        if status == 429:
            code = "rate_limit_exceeded"
        return cls(code=code, message=error.message, error_code=error.code or failure.code, hint=error.hint)


class OpenAiFailure(msgspec.Struct, frozen=True):
    """The body of every HTTP error, and the last event of a stream that failed."""

    error: OpenAiError


def failed(error: Exception, *, prompt: str | None = None, length: str = "max_tokens") -> Response:
    """The response for whatever an endpoint raised. In its requests `prompt` is what is asked, `length` how much."""
    failure = failure_of(error)
    status = _status(failure)
    param = param_of(error) or (prompt if failure.code == "prompt_empty" else None)
    param = length if param == "max_tokens" else param
    response = json_response(OpenAiFailure(told(failure, param)), status)
    if status in (429, 503):
        response.headers["retry-after"] = _RETRY_AFTER_S
    return response


def told(failure: Failure, param: str | None = None) -> OpenAiError:
    """A failure as these clients are told of it."""
    status = _status(failure)
    code = _CODE_OF_CODE.get(failure.code, failure.code)
    kind = "server_error" if status >= 500 else _TYPE_OF_STATUS.get(status, "invalid_request_error")
    return OpenAiError(
        message=message_of(failure),
        type=kind,
        param=param or _PARAM_OF_CODE.get(code),
        code=code,
        hint=hint_of(failure),
    )


def param_of(error: Exception) -> str | None:
    """The field that an error is about, as far as it says so."""
    if isinstance(error, FieldRefused):
        return str(error.details["field"])
    told = str(error)
    found = [place[1] for pattern in (_PLACE, _MISSING) if (place := pattern.search(told))]
    if not found and (limit := _LIMIT.search(told)):
        found = [limit[1]]
    return ".".join(found) or None


def _status(failure: Failure) -> int:
    return _STATUS_OF_CODE.get(failure.code) or status_of(failure)
