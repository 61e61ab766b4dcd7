"""Conversations that nobody has used for as long as the user keeps them go; without a setting, none ever does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from erllama_cache.errors import ErllamaError
from erllama_daemon.messages import DeletedSession
from erllama_daemon.sessions.store import Sessions

log = logging.getLogger(__name__)

DAY_S = 86400.0

Delete = Callable[[str, float], Awaitable[DeletedSession | None]]
"""Deletes a conversation unless it was used since a moment; gives what went."""


class Retention:
    """Deletes what was not used for `keep_s` seconds, at once and then once a day; for None, nothing.

    `clock` gives Unix seconds.
    """

    def __init__(
        self,
        sessions: Sessions,
        delete: Delete,
        keep_s: float | None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sessions = sessions
        self._delete = delete
        self._keep_s = keep_s
        self._clock = clock
        self._sleep = sleep
        self._changed = asyncio.Event()

    def configure(self, keep_s: float | None) -> None:
        """Another time to keep, at once."""
        self._keep_s = keep_s
        self._changed.set()

    async def run(self) -> None:
        """Runs until it is cancelled. What fails is logged and tried again a day later."""
        while True:
            await self.sweep()
            await self._a_day()

    async def sweep(self) -> None:
        """Deletes what is old enough now, one conversation after the other."""
        if (keep_s := self._keep_s) is None:
            return
        moment = self._clock() - keep_s
        try:
            unused = await asyncio.to_thread(self._sessions.unused_since, moment)
        except ErllamaError as error:
            log.warning("conversations that are unused cannot be looked for: %s", error)
            return
        for session in unused:
            try:
                deleted = await self._delete(session, moment)
            except ErllamaError as error:
                log.warning("the unused conversation %s could not be deleted: %s", session, error)
                continue
            if deleted is not None:
                log.info(
                    "deleted the conversation %s, unused for %.0f days: turns=%d blocks=%d bytes=%d",
                    session,
                    keep_s / DAY_S,
                    deleted.turns,
                    deleted.blocks,
                    deleted.bytes,
                )

    async def _a_day(self) -> None:
        """Waits for a day, or until there is another time to keep."""
        waiting = [asyncio.ensure_future(self._sleep(DAY_S)), asyncio.ensure_future(self._changed.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            self._changed.clear()
            if waiting[0].done():
                waiting[0].result()
        finally:
            for each in waiting:
                each.cancel()
