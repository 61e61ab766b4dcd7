"""The endpoints that tell which models there are, loaded or not."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.catalog.listing import Listing
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.endpoint import Endpoint
from erllama_daemon.messages import Catalog, ModelInfo, ModelInfoRequest
from erllama_daemon.messages.checks import check_options


class CatalogEndpoints:
    """What `erllama models ls` and `info` ask for."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(method="GET", path="/v1/catalog", handler=self.catalog, answer=Catalog),
            Endpoint(
                method="POST", path="/v1/catalog/info", handler=self.info, body=ModelInfoRequest, answer=ModelInfo
            ),
        ]

    async def catalog(self, _request: Request) -> Response:
        """Every model that can be named, with what its file's header says."""
        return json_response(await asyncio.to_thread(self._listing.catalog))

    async def info(self, request: Request) -> Response:
        """One model, and the memory it would take with these options. Loads nothing."""
        body = await read_body(request, ModelInfoRequest)
        check_options(body.options)
        return json_response(await asyncio.to_thread(self._listing.info, body))
