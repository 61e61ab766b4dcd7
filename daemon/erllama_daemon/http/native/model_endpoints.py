"""The endpoints that load models and let them go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors import InternalError
from erllama_daemon.http.body import LinesResponse, json_response, read_body
from erllama_daemon.http.endpoint import Endpoint
from erllama_daemon.http.model_file import model_file
from erllama_daemon.messages import Evicted, Failure, Loaded, LoadEvent, Loading, ModelRequest, Unloaded
from erllama_daemon.messages.checks import check_options
from erllama_daemon.models.supervisor import Supervisor

log = logging.getLogger(__name__)


class ModelEndpoints:
    """What `erllama load` and `unload` ask for, and the eviction of live state."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(method="POST", path="/v1/models/load", handler=self.load, body=ModelRequest, events=LoadEvent),
            Endpoint(method="POST", path="/v1/models/unload", handler=self.unload, body=ModelRequest, answer=Unloaded),
            Endpoint(method="POST", path="/v1/evict", handler=self.evict, body=ModelRequest, answer=Evicted),
        ]

    async def load(self, request: Request) -> Response:
        """Loads a model. A client that hangs up does not stop that."""
        body = await read_body(request, ModelRequest)
        check_options(body.options)
        return LinesResponse(self._loading(body, await model_file(body.model)))

    async def unload(self, request: Request) -> Response:
        """Lets a model go, once its requests are done and everything is saved."""
        body = await read_body(request, ModelRequest)
        return json_response(Unloaded(await self._supervisor.unload(await model_file(body.model))))

    async def evict(self, request: Request) -> Response:
        """Saves what is live of a model and lets it go; never loads the model."""
        body = await read_body(request, ModelRequest)
        return json_response(await self._supervisor.evict(await model_file(body.model)))

    async def _loading(self, body: ModelRequest, path: Path) -> AsyncGenerator[LoadEvent, None]:
        events: asyncio.Queue[LoadEvent] = asyncio.Queue()
        loading = asyncio.create_task(self._load(body, path, events))
        try:
            while True:
                event = await events.get()
                yield event
                if not isinstance(event, Loading):
                    return
        finally:
            loading.cancel()

    async def _load(self, body: ModelRequest, path: Path, events: asyncio.Queue[LoadEvent]) -> None:
        def on_loading(progress: float) -> None:
            events.put_nowait(Loading(body.model, progress))

        try:
            lease = await self._supervisor.acquire(body.model, path, options=body.options, on_loading=on_loading)
            try:
                events.put_nowait(Loaded(await self._supervisor.status(lease)))
            finally:
                lease.release()
        except ErllamaError as error:
            events.put_nowait(Failure.of(error))
        except Exception as error:
            log.exception("a model could not be loaded")
            events.put_nowait(Failure.of(InternalError(reason=repr(error))))
