"""The endpoints that say which models there are."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon.catalog.listing import Listing, NamedModel
from erllama_daemon.http.body import json_response
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.model_file import model_file
from erllama_daemon.http.openai.failure import OpenAiFailure, failed


class OpenAiModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model: `created` is when its file was written, in Unix seconds, `owned_by` the store that it is in."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str

    @classmethod
    def of(cls, model: NamedModel) -> OpenAiModel:
        """A model by one of its names."""
        try:
            written = int(model.path.stat().st_mtime)
        except OSError:
            written = 0
        return cls(id=model.name, created=written, owned_by=model.store)


class OpenAiModels(msgspec.Struct, frozen=True):
    """Answer of `GET /v1/models`: every name that a request may give, aliases too."""

    data: list[OpenAiModel]
    object: Literal["list"] = "list"


class OpenAiModelEndpoints:
    """Loaded or not: a request loads what it names."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        return [
            Endpoint(
                method="GET",
                path="/v1/models",
                handler=self.every,
                answer=OpenAiModels,
                dialect="openai",
                doors=EVERYBODY,
                failed=failed,
                error=OpenAiFailure,
            ),
            Endpoint(
                method="GET",
                path="/v1/models/{model:path}",
                handler=self.one,
                answer=OpenAiModel,
                dialect="openai",
                doors=EVERYBODY,
                failed=failed,
                error=OpenAiFailure,
            ),
        ]

    async def every(self, _request: Request) -> Response:
        """The names of all models that there are. Reads none of their files."""
        return json_response(OpenAiModels(await asyncio.to_thread(self._models)))

    async def one(self, request: Request) -> Response:
        """One model, by whatever a request may call it."""
        name = request.path_params["model"]
        named = next((model for model in await asyncio.to_thread(self._models) if model.id == name), None)
        if named is None:
            named = OpenAiModel.of(NamedModel(name, "file", await model_file(name)))
        return json_response(named)

    def _models(self) -> list[OpenAiModel]:
        return [*map(OpenAiModel.of, self._listing.named())]
