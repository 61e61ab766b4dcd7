"""Why blocks leave the cache."""

from __future__ import annotations

from typing import Literal

Departure = Literal["evicted", "removed", "damaged"]
"""Why a block is gone: it made room, somebody asked for it, or its file was damaged."""
