"""The endpoints that tell which models there are, loaded or not."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from erllama_daemon.catalog.listing import Listing
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.messages import ModelInfoRequest
from erllama_daemon.messages.checks import check_options


class CatalogEndpoints:
    """What `erllama models ls` and `info` ask for."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def routes(self) -> list[Route]:
        """Every endpoint of this kind."""
        return [
            Route("/v1/catalog", self.catalog, methods=["GET"]),
            Route("/v1/catalog/info", self.info, methods=["POST"]),
        ]

    async def catalog(self, _request: Request) -> Response:
        """GET /v1/catalog → Catalog: every model that can be named."""
        return json_response(await asyncio.to_thread(self._listing.catalog))

    async def info(self, request: Request) -> Response:
        """POST /v1/catalog/info, ModelInfoRequest → ModelInfo. Loads nothing."""
        body = await read_body(request, ModelInfoRequest)
        check_options(body.options)
        return json_response(await asyncio.to_thread(self._listing.info, body))
