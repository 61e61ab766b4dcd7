"""What the server is and does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from erllama_daemon import __version__
from erllama_daemon.catalog.template_source import template_source
from erllama_daemon.errors import SlotsBusy
from erllama_daemon.http.body import json_response
from erllama_daemon.http.door import ENTERED
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.llama_server.completion_answer import GenerationSettings
from erllama_daemon.http.llama_server.failure import ServerFailure, failed
from erllama_daemon.http.llama_server.model_choice import ModelChoice
from erllama_daemon.http.model_file import model_file
from erllama_daemon.messages import ModelStatus
from erllama_daemon.models.supervisor import Supervisor

_NO_QUERY: Mapping[str, str] = {}

BUILD = f"erllama {__version__}, llama-cpp-python {version('llama-cpp-python')}"


class Health(msgspec.Struct, frozen=True):
    """The daemon answers; a model is loaded when it is asked."""

    status: str = "ok"


class DefaultSettings(msgspec.Struct, frozen=True):
    """How many tokens the model holds in mind, and how its tokens are chosen unless a request says otherwise."""

    n_ctx: int
    params: GenerationSettings


class Modalities(msgspec.Struct, frozen=True):
    """What a model reads besides text: nothing here."""

    vision: bool = False
    audio: bool = False


class Properties(msgspec.Struct, frozen=True, kw_only=True):
    """A model's properties; on TCP a path is the file's name alone.

    A slot is a request that is answered; `total_slots` are answered together.
    """

    default_generation_settings: DefaultSettings
    total_slots: int
    model_alias: str
    model_path: str
    chat_template: str
    modalities: Modalities = Modalities()
    build_info: str = BUILD
    is_sleeping: bool = False


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """Room for one request of a model. All slots of a model share its context."""

    id: int
    model: str
    n_ctx: int
    speculative: bool = False
    is_processing: bool


class StateEndpoints:
    """All of them read and change nothing; that of a model's properties loads it."""

    def __init__(self, supervisor: Supervisor, choice: ModelChoice) -> None:
        self._supervisor = supervisor
        self._choice = choice

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of this kind."""
        model = {"model": "The model, if it is not the one that is loaded."}
        return [
            _endpoint("/health", self.health, Health),
            _endpoint("/v1/health", self.health, Health),
            _endpoint("/props", self.properties, Properties, model),
            _endpoint(
                "/slots", self.slots, list[Slot], {**model, "fail_on_no_slot": "`1`: it fails if all are taken."}
            ),
        ]

    async def health(self, _request: Request) -> Response:
        """Whether the daemon answers."""
        return json_response(Health())

    async def properties(self, request: Request) -> Response:
        """What a model is and how its tokens are chosen. Loads it."""
        model = await self._choice.choose(request.query_params.get("model"))
        path = await model_file(model)
        lease = await self._supervisor.acquire(model, path)
        try:
            status = await self._supervisor.status(lease)
        finally:
            lease.release()
        return json_response(
            Properties(
                default_generation_settings=DefaultSettings(status.context_size, GenerationSettings()),
                total_slots=status.parallel,
                model_alias=_shown(model),
                model_path=_shown(status.path),
                chat_template=await asyncio.to_thread(template_source, path),
            )
        )

    async def slots(self, request: Request) -> Response:
        """How many requests the loaded models answer, and how many they could. Loads none."""
        named, statuses = request.query_params.get("model"), await self._supervisor.statuses()
        if named is not None:
            file = (await model_file(named)).resolve()
            statuses = [status for status in statuses if Path(status.path).resolve() == file]
        slots = [slot for status in statuses for slot in _slots(status)]
        if slots and request.query_params.get("fail_on_no_slot") == "1" and all(slot.is_processing for slot in slots):
            raise SlotsBusy(count=len(slots))
        return json_response(slots)


def _endpoint(
    path: str, handler: Callable[[Request], Awaitable[Response]], answer: object, query: Mapping[str, str] = _NO_QUERY
) -> Endpoint:
    return Endpoint(
        method="GET",
        path=path,
        handler=handler,
        answer=answer,
        query=query,
        dialect="llama.cpp",
        doors=EVERYBODY,
        failed=failed,
        error=ServerFailure,
    )


def _shown(name: str) -> str:
    """A path, or another name of a model, as it is told at this door: where files lie is their owner's business."""
    return Path(name).name if name.startswith("/") and ENTERED.get().door == "tcp" else name


def _slots(status: ModelStatus) -> list[Slot]:
    return [
        Slot(id=number, model=_shown(status.id), n_ctx=status.context_size, is_processing=number < status.running)
        for number in range(status.parallel)
    ]
