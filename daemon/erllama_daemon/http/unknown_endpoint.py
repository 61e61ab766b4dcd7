"""A request that no endpoint is there for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.errors import EndpointUnknown
from erllama_daemon.http.anthropic.failure import failed as anthropic_failed
from erllama_daemon.http.body import failure_response
from erllama_daemon.http.door import ENTERED
from erllama_daemon.http.endpoint import REFUSED_CODE, Endpoint
from erllama_daemon.http.openai.failure import failed as openai_failed

_VERSION = "/v1"
_ANTHROPIC = re.compile(r"(/v1)*/messages(/|$)")
_SHOWN = 100


class UnknownEndpoint:
    """Says so in the words of the API that is most likely asked, with the path that is meant if only `/v1` is amiss."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._endpoints = [(endpoint.route.path_regex, endpoint) for endpoint in endpoints]
        self._own = {_beginning(endpoint.path) for _, endpoint in self._endpoints if endpoint.dialect == "erllama"}

    async def response(self, request: Request, _error: Exception) -> Response:
        """The response where the router found nobody to ask."""
        path = request.scope["path"]
        error = EndpointUnknown(method=request.method, path=shown_path(path))
        if (meant := self._meant(request.method, path)) is not None:
            error = error.with_hint(f"Did you mean {shown_path(meant)}?")
        request.scope[REFUSED_CODE] = error.code
        return self._failed(request, path)(error)

    def _failed(self, request: Request, path: str) -> Callable[[Exception], Response]:
        known = next((endpoint.failed for regex, endpoint in self._endpoints if regex.match(path)), None)
        if known is not None:
            return known
        if _ANTHROPIC.match(path) or "anthropic-version" in request.headers:
            return anthropic_failed
        return failure_response if _beginning(path) in self._own else openai_failed

    def _meant(self, method: str, path: str) -> str | None:
        """The path of an endpoint, open at this door, that this is with `/v1` more or less; None if there is none."""
        door = ENTERED.get().door
        for meant in (_VERSION + path, path.removeprefix(_VERSION)):
            for regex, endpoint in self._endpoints:
                if endpoint.method == method and door in endpoint.doors and regex.match(meant):
                    return meant
        return None


def shown_path(path: str) -> str:
    """A path that anybody may have made up, as it can be shown: no more than a hundred printable characters."""
    return "".join(each if each.isprintable() else "?" for each in path[:_SHOWN])


def _beginning(path: str) -> str:
    """What stands up to the first name that is no version: `/v1/sessions` of `/v1/sessions/{id}`."""
    parts = path.split("/")
    return "/".join(parts[: 3 if parts[1:2] == ["v1"] else 2])
