"""One endpoint: what is asked where, what it answers, and to whom it is open."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from erllama_daemon.errors import OwnerOnly
from erllama_daemon.failures import code_of
from erllama_daemon.http.body import failure_response
from erllama_daemon.http.door import ENTERED, Door
from erllama_daemon.messages import Failure

OWNER: frozenset[Door] = frozenset({"unix"})
EVERYBODY: frozenset[Door] = frozenset({"unix", "tcp"})

GONE = 499
"""The status that is told to nobody: the client has hung up before it was answered."""

REFUSED_CODE = "erllama.refused"
"""Where the scope of a request that was refused or failed has the code of its error."""

Dialect = Literal["erllama", "openai", "anthropic", "llama.cpp"]
"""Whose API it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What the router, the OpenAPI document and the doors have to know of one endpoint.

    `body` is the type of the JSON that is asked with. What comes back is an `answer`, one JSON object, or `events`: a
    stream of them, one a line or as server-sent events, as `stream` has it. An endpoint that can do both has both, and
    one with neither answers with no body. Events of several types that no tag tells apart are a tuple. `empty` says
    when there is nothing to answer but status 204. `query` describes each parameter in the query by its name. `failed`
    makes the response of whatever the handler raised, whose body is an `error`. The first paragraph of the handler's
    docstring says what the endpoint is for.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    body: object = None
    answer: object = None
    events: object = None
    stream: Literal["ndjson", "sse"] = "ndjson"
    status: int = 200
    empty: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    dialect: Dialect = "erllama"
    doors: frozenset[Door] = OWNER
    failed: Callable[[Exception], Response] = failure_response
    error: object = Failure

    @property
    def summary(self) -> str:
        """What it is for, in a sentence or two."""
        return " ".join((inspect.getdoc(self.handler) or "").split("\n\n")[0].split())

    @property
    def route(self) -> Route:
        """What the router is told."""
        route = Route(self.path, self._respond, methods=[self.method], name=f"{self.method} {self.path}")
        # What is named in a path may hold a line break; Starlette has it end there.
        route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)
        return route

    async def _respond(self, request: Request) -> Response:
        try:
            if ENTERED.get().door not in self.doors:
                raise OwnerOnly(path=self.path)
            return await self.handler(request)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Exception as error:
            request.scope[REFUSED_CODE] = code_of(error)
            return self.failed(error)


class Refusals:
    """How each endpoint would say that something failed; for those who refuse a request before it gets there."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._failed = [(endpoint.route.path_regex, endpoint.failed) for endpoint in endpoints]

    def response(self, path: str, error: Exception) -> Response:
        """The response in the words of the API that the path belongs to."""
        failed = next((failed for regex, failed in self._failed if regex.match(path)), failure_response)
        return failed(error)
