"""What is heard of one answer, by those who have to say something before its first word."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from erllama_daemon.errors import AnswerCutOff
from erllama_daemon.http.answer import Answer
from erllama_daemon.http.cache_header import Reuse
from erllama_daemon.messages import Done, Event, Failure, Prefilling, RemoteError, Stats


class Heard:
    """The events of an answer, in order. Who has it must `cancel` when nobody listens any more.

    An answer that somebody else cancelled has failed: these clients know no other end.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._events = answer.events()
        self._held: list[Event] = []

    def cancel(self) -> None:
        """Ends the answer at its next tick. Idempotent."""
        self._answer.cancel()

    async def begin(self) -> Reuse:
        """Waits until it is known what the cache held of the prompt. Raises RemoteError for what fails before."""
        progress: list[Prefilling] = []
        async for event in self._events:
            self._held.append(event)
            match event:
                case Failure():
                    raise RemoteError(event)
                case Done():
                    return Reuse.of(event.stats)
                case Prefilling():
                    progress.append(event)
            # The first is sent before anything was looked for.
            if len(progress) > 1 or (progress and not isinstance(event, Prefilling)):
                break
        return Reuse(progress[-1].cached, progress[-1].total)

    async def events(self) -> AsyncGenerator[Event, None]:
        """All of them, to the last; what `begin` has heard comes first."""
        for event in self._held:
            yield _or_cut_off(event)
        if self._held and isinstance(self._held[-1], Done | Failure):
            return
        async for event in self._events:
            yield _or_cut_off(event)

    async def finished(self) -> Stats:
        """The stats when it is done. Raises RemoteError."""
        async for event in self.events():
            if isinstance(event, Failure):
                raise RemoteError(event)
            if isinstance(event, Done):
                return event.stats
        raise AnswerCutOff


def _or_cut_off(event: Event) -> Event:
    return Failure.of(AnswerCutOff()) if isinstance(event, Done) and event.stats.cancelled else event
