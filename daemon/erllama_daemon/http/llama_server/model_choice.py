"""Which model a request is for: llama.cpp's server has one, and its clients name none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from erllama_daemon.catalog.find import ALIASES
from erllama_daemon.errors import ModelNotNamed

DEFAULT = "default"
"""The alias of the model that is meant when none is named and not just one is loaded."""


class ModelChoice:
    """Chooses among the models that are `loaded`."""

    def __init__(self, loaded: Callable[[], Sequence[str]]) -> None:
        self._loaded = loaded

    async def choose(self, *names: str | None) -> str:
        """The first name that is given, or else the one model that is loaded, or else the alias `default`.

        Raises ModelNotNamed, which tells what there is, and ConfigInvalid.
        """
        named = next((name for name in names if name), None)
        if named is not None:
            return named
        loaded = self._loaded()
        if len(loaded) == 1:
            return loaded[0]
        aliases = await asyncio.to_thread(ALIASES.current)
        if DEFAULT in aliases:
            return DEFAULT
        there = f"several are loaded: {', '.join(loaded)}" if loaded else "none is loaded"
        known = f"; the aliases are {', '.join(aliases)}" if aliases else ""
        raise ModelNotNamed(reason=there + known)
