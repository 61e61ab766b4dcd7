"""The requests that wait, in the order of their turns: who asks for much at once waits behind who asks for little."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator

from erllama_daemon.engine.generation import Generation
from erllama_daemon.frames import Generate

_FORGET_AT = 1024


class Line:
    """Every client's first request comes before any client's second, as many as each of them has.

    A request's turn is one after that of its client's request before it, or one after the turn that it is now; equal
    turns come in the order in which they arrived. A request that names no client is a client of its own. The caller
    holds its lock around every call.
    """

    def __init__(self) -> None:
        self._waiting: list[Generation] = []
        self._turns: dict[int, int] = {}
        self._last_turns: dict[int, int] = {}
        self._now = 0
        self._held: Counter[int] = Counter()

    def __len__(self) -> int:
        """How many wait and are ready for their turn."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[Generation]:
        """Those, in the order of their turns."""
        return iter(tuple(self._waiting))

    def held(self, request: Generate) -> int:
        """How many requests of the same client have come and have not had their turn."""
        return self._held[_client(request)]

    def arrive(self, request: Generate) -> None:
        """Gives a request its turn."""
        client = _client(request)
        self._turns[request.id] = self._last_turns[client] = max(self._now, self._last_turns.get(client, 0)) + 1
        self._held[client] += 1

    def add(self, generation: Generation) -> None:
        """Has a request that arrived wait for its turn."""
        bisect.insort(self._waiting, generation, key=lambda each: self._turns[each.id])

    def next(self) -> Generation:
        """Takes the request whose turn it is. There is one."""
        generation = self._waiting.pop(0)
        self._now = max(self._now, self._turns[generation.id])
        self.leave(generation)
        return generation

    def remove(self, generation: Generation) -> None:
        """Takes a request out that waits."""
        self._waiting.remove(generation)
        self.leave(generation)

    def leave(self, generation: Generation) -> None:
        """Forgets a request that will not be in line any more."""
        client = _client(generation.request)
        del self._turns[generation.id]
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
        if len(self._last_turns) > _FORGET_AT:
            self._last_turns = {each: turn for each, turn in self._last_turns.items() if turn > self._now}


def _client(request: Generate) -> int:
    return request.client or -request.id
