from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_backend import FakeBackend

from erllama_cache.store import Store
from erllama_daemon.engine import Engine
from erllama_daemon.frames import Failed, Finished, FromWorker, Generate, Prefilled, Text
from erllama_daemon.messages import Message, Sampling
from erllama_daemon.scheduler import Scheduler


class Desk:
    """A scheduler on a thread of its own, and the frames it sends."""

    def __init__(self, store: Store) -> None:
        self.frames: queue.Queue[FromWorker] = queue.Queue()
        self.backend = FakeBackend()
        self.held = threading.Event()
        self.held.set()
        engine = Engine(self.backend, store, b"f" * 32, block_tokens=32)
        self.scheduler = Scheduler(engine, "fake", self._send)
        self._thread = threading.Thread(target=self.scheduler.run)
        self._thread.start()

    def _send(self, frame: FromWorker) -> None:
        self.frames.put(frame)
        self.held.wait(10)

    def ask(self, number: int, text: str, max_tokens: int = 20) -> None:
        self.scheduler.submit(
            Generate(
                id=number,
                messages=[Message("user", [text])],
                max_tokens=max_tokens,
                sampling=Sampling(temperature=0.0),
            )
        )

    def last_frame(self, number: int) -> Finished | Failed:
        while True:
            frame = self.frames.get(timeout=10)
            if isinstance(frame, Finished | Failed) and frame.id == number:
                return frame

    def finished(self, number: int) -> Finished:
        frame = self.last_frame(number)
        assert isinstance(frame, Finished), frame
        return frame

    def stop(self) -> None:
        self.held.set()
        self.backend.resumed.set()
        self.scheduler.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Store(tmp_path / "cache", ram_bytes=1 << 20, disk_bytes=1 << 24) as store:
        opened = Desk(store)
        yield opened
        opened.stop()


def test_requests_are_answered_in_the_order_they_came(desk: Desk) -> None:
    for number in range(1, 6):
        desk.ask(number, f"question {number}")
    order: list[int] = []
    while len(order) < 5:
        frame = desk.frames.get(timeout=10)
        if isinstance(frame, Finished):
            order.append(frame.id)
    assert order == [1, 2, 3, 4, 5]


def test_the_text_of_the_frames_is_the_text_of_the_stats(desk: Desk) -> None:
    desk.backend.answer_with("Früh hums the 🦙.")
    desk.ask(1, "Who?")
    text = ""
    while not isinstance(frame := desk.frames.get(timeout=10), Finished):
        if isinstance(frame, Text):
            text += frame.text
    assert text == frame.stats.text == "Früh hums the 🦙."


def test_a_failed_request_is_answered_by_name_and_the_next_one_is_served(desk: Desk) -> None:
    desk.backend.fail_next_decode = True
    desk.ask(1, "one")
    desk.ask(2, "two")
    failed = desk.last_frame(1)
    assert isinstance(failed, Failed)
    assert failed.failure.code == "decode_failed"
    assert desk.finished(2).stats.finish_reason == "length"


def test_a_cancel_while_generating_keeps_what_came(desk: Desk) -> None:
    desk.backend.pause_after_decodes = 5
    desk.ask(1, "one", max_tokens=400)
    while not isinstance(desk.frames.get(timeout=10), Text):
        pass
    desk.scheduler.cancel(1)
    desk.scheduler.cancel(1)
    desk.backend.resumed.set()
    finished = desk.finished(1)
    assert (finished.stats.finish_reason, finished.stats.cancelled, finished.answered) == ("cancelled", True, True)
    assert finished.stats.saved == "published"


def test_a_cancel_while_the_prompt_is_read_ends_at_the_next_block(desk: Desk) -> None:
    desk.held.clear()
    desk.ask(1, "a long prompt " * 20)
    assert isinstance(desk.frames.get(timeout=10), Prefilled)
    desk.scheduler.cancel(1)
    desk.held.set()
    finished = desk.finished(1)
    assert not finished.answered
    assert len(desk.backend.decodes) == 1


def test_a_cancelled_request_in_the_queue_is_never_admitted(desk: Desk) -> None:
    desk.held.clear()
    desk.ask(1, "one")
    desk.frames.get(timeout=10)
    desk.ask(2, "two")
    desk.scheduler.cancel(2)
    desk.held.set()
    finished = desk.finished(2)
    assert finished.stats.cancelled
    assert finished.tokens == b""


def test_a_cancel_for_nobody_does_nothing(desk: Desk) -> None:
    desk.scheduler.cancel(99)
    desk.ask(99, "later")
    assert not desk.finished(99).stats.cancelled


def test_stopping_cancels_and_saves_what_runs(desk: Desk) -> None:
    desk.backend.pause_after_decodes = 5
    desk.ask(1, "one", max_tokens=400)
    while not isinstance(desk.frames.get(timeout=10), Text):
        pass
    desk.scheduler.stop()
    desk.backend.resumed.set()
    assert desk.finished(1).stats.cancelled
