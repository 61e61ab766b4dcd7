"""Who is let in on TCP: who has the key, asks for this very machine, and is no foreign web page."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from erllama_cache.errors import ErllamaError
from erllama_daemon.api_key import ApiKey
from erllama_daemon.errors import ApiKeyMissing, ApiKeyUnusable, ApiKeyWrong, HostRefused, OriginRefused
from erllama_daemon.http.endpoint import Refusals
from erllama_daemon.log_line import facts
from erllama_daemon.messages import VERSION_HEADER

log = logging.getLogger(__name__)

_OWN_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_ANY = "*"
_KEYLESS = ("/health", "/v1/health")
"""Where anybody may ask whether the daemon lives, as load balancers and editors do, who have no key."""
_METHODS = ("GET", "POST", "DELETE")
_BEARER = "bearer "
_CHALLENGE = "Bearer"


@dataclass(frozen=True, slots=True)
class Visitors:
    """For which hosts and from which web pages requests may come. Hosts are in small letters, without ports."""

    hosts: frozenset[str]
    origins: tuple[str, ...] = ()

    @classmethod
    def of(cls, bound: str, hosts: tuple[str, ...], origins: tuple[str, ...]) -> Visitors:
        """The names of this machine, the address that it listens at, and what is configured."""
        named = f"[{bound}]" if ":" in bound else bound
        return cls(frozenset(host.lower() for host in (*_OWN_HOSTS, named, *hosts)), origins)

    def check(self, scope: Scope) -> None:
        """Raises HostRefused and OriginRefused.

        A page that has its own name lead to this machine would ask for that name. Programs send no origin.
        """
        if (hosts := [*_values(scope, b"host")]) and all(_without_port(host) in self.hosts for host in hosts):
            origins = [*_values(scope, b"origin")]
            if _ANY in self.origins or all(origin in self.origins for origin in origins):
                return
            raise OriginRefused
        raise HostRefused


class Guard:
    """Around an application. `visitors` may change at any time."""

    def __init__(self, app: ASGIApp, key: ApiKey, visitors: Visitors, refusals: Refusals) -> None:
        self._app = app
        self._refusals = refusals
        self._key = key
        self.visitors = visitors

    @property
    def visitors(self) -> Visitors:
        """Who may ask."""
        return self._visitors

    @visitors.setter
    def visitors(self, visitors: Visitors) -> None:
        self._visitors = visitors
        self._behind: ASGIApp = self._with_key
        if visitors.origins:  # a browser asks whether it may ask before it shows a key, and reads refusals too
            self._behind = CORSMiddleware(
                self._with_key,
                allow_origins=visitors.origins,
                allow_methods=_METHODS,
                allow_headers=(_ANY,),
                expose_headers=(VERSION_HEADER, "x-erllama-cache", "x-request-id", "request-id"),
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or says why not."""
        try:
            self._visitors.check(scope)
        except ErllamaError as error:
            await self._refuse(error, scope, receive, send)
        else:
            await self._behind(scope, receive, send)

    async def _with_key(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if not (scope["method"] == "GET" and scope["path"] in _KEYLESS):
                self._check_key(scope)
        except ErllamaError as error:
            await self._refuse(error, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check_key(self, scope: Scope) -> None:
        shown = [*_shown_keys(scope)]
        if not shown:
            raise ApiKeyMissing
        try:
            agree = [self._key.agrees(key) for key in shown]
        except ApiKeyUnusable as error:
            log.error("nobody is let in on TCP: %s", error)
            raise ApiKeyWrong from error
        if not any(agree):
            raise ApiKeyWrong

    async def _refuse(self, error: ErllamaError, scope: Scope, receive: Receive, send: Send) -> None:
        client = (scope.get("client") or (None,))[0]
        log.info("refused: %s", facts(door="tcp", code=error.code, client=client))
        response = self._refusals.response(scope["path"], error)
        if isinstance(error, ApiKeyMissing | ApiKeyWrong):
            response.headers["www-authenticate"] = _CHALLENGE
        await response(scope, receive, send)


def _shown_keys(scope: Scope) -> Iterator[str]:
    """What may be the key: as OpenAI's clients send it, and as Anthropic's do."""
    for value in _values(scope, b"authorization"):
        if value.lower().startswith(_BEARER):
            yield value[len(_BEARER) :].strip()
    yield from _values(scope, b"x-api-key")


def _values(scope: Scope, name: bytes) -> Iterator[str]:
    return (value.decode("latin-1") for found, value in scope["headers"] if found == name)


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isascii() and port.isdigit() and not name.endswith(":") else host.lower()
