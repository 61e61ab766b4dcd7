"""Files that a request names, found while others are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from erllama_daemon.catalog.find import find_model
from erllama_daemon.http.door import ENTERED
from erllama_daemon.messages import AdapterChoice


async def model_file(name: str) -> Path:
    """As `find_model`, which may have to wait for a disk, and raises the same.

    Raises FileOutside for a path that nobody may name at the door that the request came through.
    """
    return await asyncio.to_thread(_found, name)


async def check_adapter_files(adapters: Sequence[AdapterChoice]) -> None:
    """Raises FileOutside for an adapter that nobody may name at the door that the request came through."""
    for adapter in adapters:
        await asyncio.to_thread(ENTERED.get().check_file, adapter.path)


def _found(name: str) -> Path:
    if name.startswith("/"):
        ENTERED.get().check_file(name)
    return find_model(name)
