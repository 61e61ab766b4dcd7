"""The adapters that are attached to a model."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.errors import RequestInvalid
from erllama_daemon.http.body import json_response, read_body
from erllama_daemon.http.calls import Calls
from erllama_daemon.http.endpoint import EVERYBODY, OWNER, Endpoint
from erllama_daemon.http.llama_server.completion_request import LoraChoice
from erllama_daemon.http.llama_server.failure import ServerFailure, failed
from erllama_daemon.http.llama_server.model_choice import ModelChoice
from erllama_daemon.messages import AdapterRequest

_QUERY = {"model": "The model, if it is not the one that is loaded."}


class LoraAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """An attached adapter: its number, its file, and how strongly it is applied."""

    id: int
    path: str
    scale: float


class Success(msgspec.Struct, frozen=True):
    """It is done."""

    success: bool = True


class LoraEndpoints:
    """They load the model if it is not loaded. Adapters are attached with `POST /v1/adapters/load`."""

    def __init__(self, calls: Calls, choice: ModelChoice) -> None:
        self._calls = calls
        self._choice = choice

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(
                method="GET",
                path="/lora-adapters",
                handler=self.adapters,
                answer=list[LoraAdapter],
                query=_QUERY,
                dialect="llama.cpp",
                doors=EVERYBODY,
                failed=failed,
                error=ServerFailure,
            ),
            Endpoint(
                method="POST",
                path="/lora-adapters",
                handler=self.scale,
                body=list[LoraChoice],
                answer=Success,
                query=_QUERY,
                dialect="llama.cpp",
                doors=OWNER,
                failed=failed,
                error=ServerFailure,
            ),
        ]

    async def adapters(self, request: Request) -> Response:
        """The adapters that are attached, in order; their numbers are places in this list."""
        attached = (await self._calls.list_adapters(await self._model(request))).adapters
        return json_response([LoraAdapter(id=n, path=each.path, scale=each.scale) for n, each in enumerate(attached)])

    async def scale(self, request: Request) -> Response:
        """How strongly each adapter is applied from now on; those that are not named, not at all."""
        scales = {each.id: each.scale for each in await read_body(request, list[LoraChoice])}
        model = await self._model(request)
        attached = (await self._calls.list_adapters(model)).adapters
        for number in scales:
            if not 0 <= number < len(attached):
                raise RequestInvalid(reason=f"no adapter has the id {number}: {len(attached)} are attached")
        for number, adapter in enumerate(attached):
            scale = scales.get(number, 0.0)
            if scale != adapter.scale:
                await self._calls.scale_adapter(AdapterRequest(model=model, adapter=adapter.handle, scale=scale))
        return json_response(Success())

    async def _model(self, request: Request) -> str:
        return await self._choice.choose(request.query_params.get("model"))
