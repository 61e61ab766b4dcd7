"""The answers to one request of a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from erllama_daemon.errors import AnswerCutOff
from erllama_daemon.failures import failure_of
from erllama_daemon.http.answering.answer import Answer
from erllama_daemon.http.answering.asking import Asking
from erllama_daemon.http.cache_header import Reuse
from erllama_daemon.messages import (
    Calling,
    CompleteRequest,
    Done,
    Event,
    Failure,
    Prefilling,
    RemoteError,
    Stats,
    Thinking,
    Token,
)

Said = tuple[int, Event]
"""The index of an answer, and what is heard of it."""

_HEARD_AHEAD = 64
"""So many events wait here; all others where each answer joins its own, for a client that takes them slowly."""


class Several:
    """Any number of answers under one cancel, which are told apart by their index.

    The requests of a group have the same prompt: the first is read before the others are asked, so that these find it
    in the cache. Whoever starts them must `cancel` when nobody listens any more. A failure of one ends all.
    """

    def __init__(self, asking: Asking, groups: Sequence[Sequence[CompleteRequest]]) -> None:
        self._asking = asking
        self._groups = groups
        self._answers: list[Answer] = []
        self._following: set[asyncio.Task[None]] = set()
        self._queue: asyncio.Queue[Said] = asyncio.Queue()
        self._taken = asyncio.Event()
        self._held: list[Said] = []
        self._is_cancelled = False

    async def start(self) -> None:
        """Starts the first of each group. Raises what `Asking.start` raises."""
        index = 0
        for group in self._groups:
            await self._start(index, group[0], group[1:])
            index += len(group)

    async def begin(self) -> Reuse:
        """Waits until it is known what the cache held of the first prompt. Raises RemoteError for what fails before."""
        progress: list[Prefilling] = []
        while True:
            index, event = await self._next()
            self._held.append((index, event))
            if isinstance(event, Failure):
                raise RemoteError(event)
            if index:
                continue
            if isinstance(event, Done):
                return Reuse(event.stats.cached_tokens, event.stats.prompt_tokens)
            if isinstance(event, Prefilling):
                progress.append(event)
            # The first is sent before anything is looked for in the cache.
            is_begun = bool(progress) and (progress[-1].done > 0 or len(progress) > 1)
            if is_begun or (progress and not isinstance(event, Prefilling)):
                return Reuse(progress[-1].cached, progress[-1].total)

    async def events(self) -> AsyncGenerator[Said, None]:
        """What is heard of each, until all are done or one failed; what `begin` has heard comes first."""
        running = sum(map(len, self._groups))
        while running:
            index, event = self._held.pop(0) if self._held else await self._next()
            if isinstance(event, Done) and event.stats.cancelled:
                event = Failure.of(AnswerCutOff())
            if isinstance(event, Done | Failure):
                running -= 1
            if isinstance(event, Failure):
                self.cancel()
                running = 0
            yield index, event

    async def finished(self) -> list[list[Stats]]:
        """The stats of each group when all are done. Raises RemoteError."""
        found: dict[int, Stats] = {}
        async with aclosing(self.events()) as events:
            async for index, event in events:
                if isinstance(event, Failure):
                    raise RemoteError(event)
                if isinstance(event, Done):
                    found[index] = event.stats
        return self.grouped(found)

    def grouped(self, found: dict[int, Stats]) -> list[list[Stats]]:
        """Stats by their index, group by group."""
        indexes = iter(range(len(found)))
        return [[found[next(indexes)] for _request in group] for group in self._groups]

    def cancel(self) -> None:
        """Ends them all at the next tick. Idempotent."""
        self._is_cancelled = True
        self._taken.set()
        for answer in self._answers:
            answer.cancel()

    async def _next(self) -> Said:
        said = await self._queue.get()
        self._taken.set()
        return said

    async def _until_wanted(self) -> None:
        while self._queue.qsize() >= _HEARD_AHEAD and not self._is_cancelled:
            self._taken.clear()
            await self._taken.wait()

    async def _start(self, index: int, request: CompleteRequest, rest: Sequence[CompleteRequest] = ()) -> None:
        answer = await self._asking.start(request)
        self._answers.append(answer)
        if self._is_cancelled:
            answer.cancel()
        task = asyncio.create_task(self._follow(index, answer, rest))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _follow(self, index: int, answer: Answer, rest: Sequence[CompleteRequest]) -> None:
        async for event in answer.events():
            self._queue.put_nowait((index, event))
            if rest and not self._is_cancelled and _is_read(event):
                for following, request in enumerate(rest, index + 1):
                    await self._start_following(following, request)
                rest = ()
            await self._until_wanted()
        if rest:
            self._queue.put_nowait((index + 1, Failure.of(AnswerCutOff())))

    async def _start_following(self, index: int, request: CompleteRequest) -> None:
        try:
            await self._start(index, request)
        except Exception as error:
            self._queue.put_nowait((index, failure_of(error)))


def _is_read(event: Event) -> bool:
    """Whether all of a prompt has been read by now."""
    return isinstance(event, Token | Thinking | Calling | Done)
