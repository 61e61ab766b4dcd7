"""A model's file, found while others are answered."""

from __future__ import annotations

import asyncio
from pathlib import Path

from erllama_daemon.catalog.find import find_model


async def model_file(name: str) -> Path:
    """As `find_model`, which may have to wait for a disk, and raises the same."""
    return await asyncio.to_thread(find_model, name)
