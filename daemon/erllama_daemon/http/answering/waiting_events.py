"""The events of an answer that its client has not taken yet."""

from __future__ import annotations

import asyncio
from collections import deque

from erllama_daemon.messages import Event, Loading, Prefilling, Queued, Thinking, Token

_TEXTS = (Token, Thinking)
_PROGRESS = (Loading, Prefilling, Queued)


class WaitingEvents:
    """A queue in which what waits becomes one event where that says the same: texts are joined, progress is replaced.

    So a client that takes nothing has no more kept for it than the text of its answer. All calls from the event loop.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._texts: list[Token | Thinking] = []
        """All parts of the text that waits last, if one does; `_events` has its first."""
        self._there = asyncio.Event()

    def put(self, event: Event) -> None:
        """Adds one behind the others."""
        last = self._events[-1] if self._events else None
        if isinstance(event, _TEXTS) and type(event) is type(last):
            self._texts.append(event)
            return
        self._close()
        if isinstance(event, _PROGRESS) and type(event) is type(last):
            self._events[-1] = event
        else:
            self._events.append(event)
            self._texts = [event] if isinstance(event, _TEXTS) else []
        self._there.set()

    async def get(self) -> Event:
        """Takes the first, once there is one."""
        while not self._events:
            self._there.clear()
            await self._there.wait()
        if len(self._events) == 1:
            self._close()
        return self._events.popleft()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._events)

    def _close(self) -> None:
        """Makes the text that waits last a whole one: nothing more is added to it."""
        if len(self._texts) > 1:
            text = "".join(each.text for each in self._texts)
            logprobs = [row for each in self._texts if isinstance(each, Token) for row in each.logprobs]
            self._events[-1] = Token(text, logprobs) if isinstance(self._events[-1], Token) else Thinking(text)
        self._texts = []
