"""The daemon's end when nobody needs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from erllama_daemon.log_line import facts

log = logging.getLogger(__name__)

WATCH_PERIOD_S = 5.0
"""How often it is looked whether the daemon is needed: it ends at most so much later than it might."""


class IdleWatch:
    """Has the daemon leave when it has been asked nothing for `limit_s` seconds, with None never.

    `idle_s` says for how long nothing has been asked, `is_needed` whether there is another reason to stay, `is_lost`
    whether nobody can reach the daemon any more. `leave` makes sure that no request is lost and says whether the
    daemon leaves; `abandon` ends it in any case.
    """

    def __init__(
        self,
        limit_s: float | None,
        *,
        idle_s: Callable[[], float],
        is_needed: Callable[[], bool],
        is_lost: Callable[[], bool],
        leave: Callable[[], Awaitable[bool]],
        abandon: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.limit_s = limit_s
        self._idle_s = idle_s
        self._is_needed = is_needed
        self._is_lost = is_lost
        self._leave = leave
        self._abandon = abandon
        self._sleep = sleep

    @property
    def is_due(self) -> bool:
        """Whether the daemon might leave now."""
        return self.limit_s is not None and self._idle_s() >= self.limit_s and not self._is_needed()

    async def run(self) -> None:
        """Looks now and then; returns when the daemon leaves."""
        while True:
            await self._sleep(WATCH_PERIOD_S)
            if self._is_lost() and self._idle_s() > 0:  # who is being served is served to the end
                log.warning("the socket is gone or another daemon's: this one ends")
                self._abandon()
                return
            try:
                if self.is_due and await self._leave():
                    log.info("idle: the daemon ends: %s", facts(limit_ms=1000 * (self.limit_s or 0)))
                    return
            except OSError as error:
                log.warning("idle: the daemon cannot leave: %s", error)
