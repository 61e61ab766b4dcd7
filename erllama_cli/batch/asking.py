"""Records that are asked several at once, and heard of in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from queue import Queue
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Heard = TypeVar("Heard")

_AHEAD = 2
"""So many times the records that are asked at once are read before their turn."""


class InOrder(Generic[Asked, Heard]):
    """Asks each of `records` in one of `jobs` threads, and gives what is heard of each in the order of the records.

    Iterate over it in the main thread: each record comes as soon as it is asked, with what is heard of it as that
    comes. Whatever reading or asking raises, iterating raises in its place. Reads no further ahead than it must to have
    all threads work. Once `stop` was called nothing more is asked, and what is under way hangs up when it next hears
    something, or when the process ends.
    """

    def __init__(
        self, records: Iterable[Asked], ask: Callable[[Asked], Generator[Heard, None, None]], jobs: int
    ) -> None:
        self._records = records
        self._ask = ask
        self._order: Queue[_Answer[Asked, Heard] | BaseException | None] = Queue(_AHEAD * jobs)
        self._work: Queue[_Answer[Asked, Heard] | None] = Queue()
        self._jobs = jobs
        self._stopped = threading.Event()
        for target in (self._read, *[self._answer] * jobs):
            threading.Thread(target=target, daemon=True).start()

    def __iter__(self) -> Iterator[tuple[Asked, Iterator[Heard]]]:
        while (answer := self._order.get()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield answer.record, answer.events()

    def stop(self) -> None:
        """Ask nothing more."""
        self._stopped.set()

    def _read(self) -> None:
        last: BaseException | None = None
        try:
            for record in self._records:
                answer: _Answer[Asked, Heard] = _Answer(record)
                self._order.put(answer)
                self._work.put(answer)
        except Exception as error:
            last = error
        self._order.put(last)
        for _ in range(self._jobs):
            self._work.put(None)

    def _answer(self) -> None:
        while (answer := self._work.get()) is not None and not self._stopped.is_set():
            try:
                with closing(self._ask(answer.record)) as heard:
                    for event in heard:
                        answer.heard.put(event)
                        if self._stopped.is_set():
                            return
                answer.heard.put(None)
            except Exception as error:
                answer.heard.put(error)


class _Answer(Generic[Asked, Heard]):
    def __init__(self, record: Asked) -> None:
        self.record = record
        self.heard: Queue[Heard | Exception | None] = Queue()

    def events(self) -> Iterator[Heard]:
        while (heard := self.heard.get()) is not None:
            if isinstance(heard, Exception):
                raise heard
            yield heard
