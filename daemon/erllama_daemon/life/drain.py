"""The daemon's last work: what runs is cancelled and kept, and what is live is saved, in a time that is set."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from erllama_cache.policy import Policy, PolicyKnobs
from erllama_daemon.config import Config
from erllama_daemon.http.answering.answers import Answers
from erllama_daemon.log_line import facts
from erllama_daemon.models.supervisor import Supervisor
from erllama_daemon.models.worker_process import STOP_GRACE_S

log = logging.getLogger(__name__)

ANSWERS_S = 5.0
"""How long answers that were cancelled have to end and to be kept."""

GOODBYE_S = 3
"""How long clients have to read the last that is said to them."""

GRACE_S = ANSWERS_S + STOP_GRACE_S + GOODBYE_S
"""How long a daemon may take to end, besides the last saves of its models."""


def longest_s(config: Config) -> float:
    """How long a daemon of this configuration may take to end."""
    policies = [Policy().with_knobs(knobs) for knobs in (PolicyKnobs(), config.policy, *_knobs(config))]
    return max(policy.evict_save_timeout_ms for policy in policies) / 1000 + GRACE_S


class Drain:
    """Done once. `hurry` ends what it waits for: workers are killed, and what they have not saved is lost."""

    def __init__(self, answers: Answers, supervisor: Supervisor) -> None:
        self._answers = answers
        self._supervisor = supervisor
        self._hurried = asyncio.Event()

    @property
    def limit_s(self) -> float:
        """How long it may take."""
        return ANSWERS_S + self._supervisor.stop_timeout_s

    def hurry(self) -> None:
        """Ends it now. May be called again, and before it has begun."""
        self._hurried.set()

    async def run(self) -> None:
        """Returns when every answer is kept or given up, and every worker gone. Never raises for what goes wrong."""
        started = time.monotonic()
        log.info("draining: %s", facts(answers=self._answers.count, limit_ms=self.limit_s * 1000))
        self._answers.cancel_all()
        if not await self._within(ANSWERS_S, self._answers.finish()):
            log.warning("draining: answers do not end: %s", facts(answers=self._answers.count))
        if not await self._within(self._supervisor.stop_timeout_s + 1, self._supervisor.stop()):
            log.warning("draining: workers are killed unsaved")
            self._supervisor.kill()
        if not await self._within(ANSWERS_S, self._answers.finish(), even_hurried=True):
            log.error("draining: answers are given up: %s", facts(answers=self._answers.count))
        log.info("drained: %s", facts(ms=(time.monotonic() - started) * 1000))

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None], *, even_hurried: bool = False) -> bool:
        """Whether the work was done in that time, and before somebody hurried."""
        done = asyncio.create_task(work)
        hurried = asyncio.create_task(self._hurried.wait())
        awaited = (done,) if even_hurried else (done, hurried)
        await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not done.done():
            done.cancel()
            return False
        if (error := done.exception()) is not None:
            log.error("draining: %s", facts(failed=repr(error)))
        return True


def _knobs(config: Config) -> list[PolicyKnobs]:
    return [model.policy.over(config.policy) for model in config.models.values()]
