"""What the tests of the daemon share: a house for its supervisor, and workers on one cache."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon.house import Story, Tell, house_in
from daemon.worker_parts import Start, WorkerParts


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """Runs a story in a house of its own."""

    async def run(story: Story, **settings: Any) -> None:
        async with house_in(tmp_path, **settings) as house:
            await asyncio.wait_for(story(house), 60)

    return lambda story, **settings: asyncio.run(run(story, **settings))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts workers on one cache."""
    started: list[WorkerParts] = []

    def _start(**options: Any) -> WorkerParts:
        started.append(WorkerParts(tmp_path / "cache", **options))
        return started[-1]

    yield _start
    for worker in started:
        worker.stop()
