"""Errors in the shape and with the statuses that Anthropic's clients know."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from erllama_daemon.failures import failure_of
from erllama_daemon.http.body import hint_of, json_response, message_of, status_of
from erllama_daemon.messages import Failure
from erllama_daemon.request_id import current_request_id

REQUEST_ID = "request-id"
"""The header with the name of a request."""

_OVERLOADED = 529
_STATUS_OF_CODE = {"context_exceeded": 400, "not_supported": 400, "busy": _OVERLOADED}
"""Where they differ from erllama's own: clients ask again by themselves after a 408, a 409, a 429 and any 5xx."""

_TYPE_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    431: "request_too_large",
    _OVERLOADED: "overloaded_error",
}
_TOO_LONG = "prompt is too long: "
"""How agents tell that they have to shorten a conversation."""


class AnthropicErrorDetails(msgspec.Struct, frozen=True, kw_only=True):
    """erllama's own name for what went wrong, and what can be done about it."""

    error_code: str
    hint: str | None


class AnthropicError(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong."""

    type: str
    message: str
    details: AnthropicErrorDetails


class AnthropicFailure(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The body of every HTTP error, and the last event of a stream that failed."""

    error: AnthropicError
    request_id: str


def failed(error: Exception) -> Response:
    """The response for whatever an endpoint raised."""
    failure = failure_of(error)
    body = failure_body(failure)
    response = json_response(body, _status(failure))
    response.headers[REQUEST_ID] = body.request_id
    return response


def failure_body(failure: Failure) -> AnthropicFailure:
    """A failure as these clients are told of it."""
    told = AnthropicError(
        type=_TYPE_OF_STATUS.get(_status(failure), "api_error"),
        message=(_TOO_LONG if failure.code == "context_exceeded" else "") + message_of(failure),
        details=AnthropicErrorDetails(error_code=failure.code, hint=hint_of(failure)),
    )
    return AnthropicFailure(error=told, request_id=current_request_id())


def _status(failure: Failure) -> int:
    return _STATUS_OF_CODE.get(failure.code) or status_of(failure)
