"""Whose turn it is among those who wait for a model."""

from __future__ import annotations

import itertools

from erllama_daemon.engine.generation import Generation
from erllama_daemon.frames import Generate
from erllama_daemon.messages import Message, Sampling
from erllama_daemon.worker.line import Line


def request(number: int, client: int) -> Generate:
    return Generate(
        id=number,
        client=client,
        messages=[Message("user", [f"llama {number}"])],
        max_tokens=2,
        sampling=Sampling(temperature=0.0),
    )


class Waiting:
    """A line, in which requests are numbered as they come."""

    def __init__(self) -> None:
        self.line = Line()
        self._numbers = itertools.count(1)

    def come(self, *clients: int) -> None:
        for client in clients:
            asked = request(next(self._numbers), client)
            self.line.arrive(asked)
            self.line.add(Generation(asked, context_size=100))

    def served(self, count: int) -> list[int]:
        return [self.line.next().request.client for _ in range(count)]


def test_one_question_does_not_wait_for_all_that_another_client_asked_before() -> None:
    waiting = Waiting()
    waiting.come(1, 1, 1, 1, 2, 3, 3)
    assert waiting.served(7) == [1, 2, 3, 1, 3, 1, 1]


def test_a_client_that_floods_gains_nothing_by_having_come_first() -> None:
    waiting = Waiting()
    waiting.come(1, 1, 1, 1)
    assert waiting.served(2) == [1, 1]
    waiting.come(2)
    assert waiting.served(3) == [1, 2, 1]


def test_who_connects_anew_for_each_request_is_not_before_who_stays() -> None:
    waiting = Waiting()
    for newcomer in range(10, 20):
        waiting.come(newcomer, 1)
    assert waiting.served(4) == [10, 1, 11, 12]


def test_requests_of_nobody_in_particular_come_in_their_order() -> None:
    line = Line()
    for number in (3, 1, 2):
        asked = request(number, 0)
        line.arrive(asked)
        line.add(Generation(asked, context_size=100))
    assert [generation.id for generation in line] == [3, 1, 2]
    assert [line.held(request(number, 0)) for number in (1, 9)] == [1, 0]


def test_what_has_left_the_line_is_forgotten() -> None:
    waiting = Waiting()
    for client in range(1, 3000):
        waiting.come(client)
        waiting.served(1)
    assert len(waiting.line) == 0
    assert len(waiting.line._last_turns) < 2000
    assert not waiting.line._turns and not waiting.line._held
