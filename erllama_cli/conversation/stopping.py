"""Ctrl-C while an answer comes: the daemon ends it, and what it still says is heard, so that what is kept is shown."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from erllama_cache.errors import ErllamaError
from erllama_cli.client import AnswerEvent, Client
from erllama_daemon.messages import Accepted


class StoppableAnswer:
    """The events of one answer, which the first Ctrl-C has end as soon as it can.

    Until the daemon has taken the question, when it cannot be asked, and with the second Ctrl-C it is a
    KeyboardInterrupt as everywhere. `client` starts no daemon.
    """

    def __init__(self, client: Client, events: Iterable[AnswerEvent]) -> None:
        self._client = client
        self._events = events
        self._number: int | None = None
        self.is_stopped = False
        """Whether the user wanted no more of it."""

    def __iter__(self) -> Iterator[AnswerEvent]:
        for event in self._events:
            if isinstance(event, Accepted):
                self._number = event.id
            yield event

    @contextmanager
    def heeding_ctrl_c(self) -> Iterator[None]:
        """Ctrl-C inside stops the answer. In the main thread only."""
        before = signal.signal(signal.SIGINT, self._stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before or signal.SIG_DFL)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        if self._number is None or self.is_stopped:
            raise KeyboardInterrupt
        self.is_stopped = True
        try:
            self._client.cancel(self._number)
        except ErllamaError:
            raise KeyboardInterrupt from None
