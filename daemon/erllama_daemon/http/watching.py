"""Looking at the daemon while it works: metrics, and what is under way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from erllama_cache.errors import ErllamaError
from erllama_cache.quotas import default_disk_bytes
from erllama_cache.stats import StoreStats, TierStats, read_stats
from erllama_daemon import __version__
from erllama_daemon.http.answering.answers import Answers
from erllama_daemon.http.body import json_response
from erllama_daemon.http.endpoint import EVERYBODY, Endpoint
from erllama_daemon.http.metrics.measures import Measures
from erllama_daemon.http.metrics.snapshot import Snapshot
from erllama_daemon.messages import Activity, TierRoom
from erllama_daemon.models.status_row import ObservedModel
from erllama_daemon.models.supervisor import Supervisor

log = logging.getLogger(__name__)


class Watching:
    """Endpoints for who looks on. All calls from the event loop; `cache` is the cache's folder."""

    def __init__(
        self,
        supervisor: Supervisor,
        answers: Answers,
        measures: Measures,
        cache: Path,
        connections: Callable[[], int],
    ) -> None:
        self._supervisor = supervisor
        self._answers = answers
        self._measures = measures
        self._cache = cache
        self._connections = connections
        self._started = time.monotonic()

    def endpoints(self) -> list[Endpoint]:
        """All of them."""
        return [
            Endpoint(method="GET", path="/metrics", handler=self.metrics, doors=EVERYBODY),
            Endpoint(method="GET", path="/v1/requests", handler=self.requests, answer=Activity),
        ]

    async def metrics(self, _request: Request) -> Response:
        """What the daemon counts, in the text format of Prometheus."""
        models, disk = await asyncio.gather(self._supervisor.observed(), self._read_disk())
        now = CollectorRegistry(auto_describe=False)
        now.register(
            Snapshot(
                labels=self._measures.models,
                models=models,
                deaths=self._supervisor.deaths(),
                states=[each.state for each in self._answers.under_way],
                connections=self._connections(),
                uptime_s=self._uptime_s,
                ram=self._ram(models),
                disk=disk,
            )
        )
        text = generate_latest(self._measures.registry) + generate_latest(now)
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    async def requests(self, _request: Request) -> Response:
        """The answers that are under way, the models, and how the cache does."""
        models, disk = await asyncio.gather(self._supervisor.observed(), self._read_disk())
        told = {progress.id: progress for model in models for progress in model.requests}
        activity = Activity(
            version=__version__,
            uptime_s=self._uptime_s,
            requests=[each.row(told.get(each.id)) for each in self._answers.under_way],
            models=[each.row for each in models],
            last_minute=self._measures.last_minute.sums(),
            ram=self._ram(models),
            disk=None if disk is None else _room(disk.tiers.disk),
        )
        return json_response(activity)

    @property
    def _uptime_s(self) -> float:
        return round(time.monotonic() - self._started, 3)

    def _ram(self, models: list[ObservedModel]) -> TierRoom:
        return TierRoom(
            blocks=sum(each.row.ram_rows for each in models),
            bytes=sum(each.row.ram_bytes for each in models),
            quota_bytes=self._supervisor.quotas.ram_bytes,
        )

    async def _read_disk(self) -> StoreStats | None:
        """What the cache's folder says; None if it cannot be read, for nobody may be kept from seeing the rest."""
        quotas = self._supervisor.quotas

        def read() -> StoreStats:
            disk_bytes = default_disk_bytes(self._cache) if quotas.disk_bytes is None else quotas.disk_bytes
            return read_stats(self._cache, disk_bytes, write_bytes_per_day=quotas.write_bytes_per_day)

        try:
            return await asyncio.to_thread(read)
        except (ErllamaError, OSError) as error:
            log.warning("the cache cannot be looked into: %s", error)
            return None


def _room(tier: TierStats) -> TierRoom:
    return TierRoom(blocks=tier.rows, bytes=tier.bytes, quota_bytes=tier.quota_bytes)
