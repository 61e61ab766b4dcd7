"""The worker's own process, but for its model: frames in, frames out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon.worker_parts import Start
from fake_backend import FakeBackend
from fake_engine import FINGERPRINT

from erllama_cache.tending.holdings import Holdings
from erllama_cache.tending.survey import survey
from erllama_daemon import frames
from erllama_daemon.messages import Message, Sampling
from erllama_daemon.worker.process import FrameWriter, Worker


class Conversing:
    """A worker on a thread, and the other ends of its pipes."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        told, telling = os.pipe()
        answered, answering = os.pipe()
        self._stdin, self._told = os.fdopen(telling, "wb"), os.fdopen(told, "rb")
        self._answers, self._answering = os.fdopen(answered, "rb"), os.fdopen(answering, "wb")
        configuration = frames.Configure(model="fake", path="fake", cache=str(cache), ram_bytes=1 << 20)
        worker = Worker(configuration, FakeBackend(), FINGERPRINT, FrameWriter(self._answering))
        self._thread = threading.Thread(target=worker.serve, args=(self._told,))
        self._thread.start()
        assert isinstance(self.receive(), frames.Ready)

    def send(self, frame: frames.ToWorker) -> None:
        self._stdin.write(frames.encode(frame))
        self._stdin.flush()

    def receive(self) -> frames.FromWorker:
        body = frames.read_body(self._answers)
        assert body is not None
        return frames.from_worker_decoder.decode(body)

    def answer(self, number: int, text: str) -> frames.Finished:
        messages, sampling = [Message("user", [text])], Sampling(temperature=0.0)
        self.send(frames.Generate(id=number, messages=messages, max_tokens=20, sampling=sampling, logits_digest=True))
        while not isinstance(frame := self.receive(), frames.Finished):
            assert not isinstance(frame, frames.Failed), frame
        return frame

    def forget(self, number: int, keys: list[bytes] | None) -> frames.Forgotten:
        self.send(frames.Forget(number, keys))
        answer = self.receive()
        assert isinstance(answer, frames.Forgotten)
        return answer

    def delete_all(self) -> list[bytes]:
        """Deletes every block on disk, as a command would."""
        found = survey(self.cache)
        with Holdings(self.cache) as holdings:
            return [row.key for row in holdings.let_go(found.removable(found.rows.keys()))]

    def close(self) -> None:
        self._stdin.close()
        self._thread.join(30)
        for stream in (self._told, self._answering, self._answers):
            stream.close()
        assert not self._thread.is_alive()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Conversing]:
    opened = Conversing(tmp_path / "cache")
    yield opened
    opened.close()


def test_what_was_deleted_is_forgotten_and_never_comes_back(worker: Conversing) -> None:
    cold = worker.answer(1, "one")
    assert worker.answer(2, "one").stats.cache_hit_kind == "exact"
    keys = worker.delete_all()
    forgotten = worker.forget(3, keys)
    assert (forgotten.sequences, forgotten.blocks) == (1, len(keys))
    assert survey(worker.cache).rows == {}, "nothing was saved once more"
    again = worker.answer(4, "one")
    assert (again.stats.cache_hit_kind, again.stats.cached_tokens) == ("cold", 0)
    assert again.stats.logits_digest == cold.stats.logits_digest
    assert set(survey(worker.cache).rows) == set(keys)


def test_what_was_not_deleted_stays_live_and_in_memory(worker: Conversing) -> None:
    worker.answer(1, "one")
    keys = set(survey(worker.cache).rows)
    worker.answer(2, "another question")
    others = [key for key in survey(worker.cache).rows if key not in keys]
    assert worker.forget(3, [b"\0" * 32]) == frames.Forgotten(3, 0, 0)
    assert worker.forget(4, [*keys]) == frames.Forgotten(4, 0, len(keys)), "its sequence had made way before"
    assert worker.forget(5, None) == frames.Forgotten(5, 1, len(others))


def test_a_worker_says_how_far_each_of_its_requests_is(start: Start) -> None:
    worker = start()

    def looked_at() -> list[frames.Progress]:
        number = worker.next_id()
        worker.calls.handle(frames.AskStatus(number))
        status = worker.last_frame(number)
        assert isinstance(status, frames.Status)
        return status.requests

    worker.hold_after(2)
    first = worker.ask("All happy families are alike. " * 3, answer="They are.")
    worker.wait_until_held()
    second = worker.ask("Why?")
    worker.wait_until_prepared()
    reading, waiting = looked_at()
    assert (reading.id, reading.state, reading.generated_tokens) == (first, "prefilling", 0)
    assert 0 < reading.read_tokens < reading.prompt_tokens
    assert (waiting.id, waiting.state, waiting.read_tokens) == (second, "queued", 0)
    worker.go_on()
    for number in (first, second):
        worker.finished(number)
    assert looked_at() == []
    worker.hold_after(3)
    again = worker.ask("All happy families are alike. " * 3, answer="They are.")
    worker.wait_until_held()
    (answering,) = looked_at()
    assert (answering.id, answering.state) == (again, "generating")
    assert answering.cached_tokens == answering.read_tokens == answering.prompt_tokens == reading.prompt_tokens
    assert answering.generated_tokens >= 1
    assert answering.generating_s >= 0
    worker.go_on()
    worker.finished(again)
