from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import pytest
from fake_backend import FakeBackend
from fake_engine import new_engine, new_preparation

from erllama_cache.keys import pack_tokens
from erllama_cache.store import Store
from erllama_daemon.engine import speaker
from erllama_daemon.frames import Embed, Embedded, Failed, Finished, FromWorker, Generate, Prefilled, Text, Waiting
from erllama_daemon.messages import Message, Sampling
from erllama_daemon.worker.embedder import Embedder
from erllama_daemon.worker.preparation import LONGEST_TOKEN_BYTES
from erllama_daemon.worker.scheduler import Scheduler


class Desk:
    """A scheduler on a thread of its own, and the frames it sends."""

    def __init__(self, store: Store, parallel: int = 1) -> None:
        self.frames: queue.Queue[FromWorker] = queue.Queue()
        self._last_frames: dict[int, Finished | Failed] = {}
        self.calls: list[object] = []
        self.backend = FakeBackend()
        self.held = threading.Event()
        self.held.set()
        self.engine = new_engine(self.backend, store, parallel=parallel)
        preparation = new_preparation(self.backend, store, self.engine)
        self.scheduler = Scheduler(self.engine, preparation, "fake", self._send, parallel=parallel, queue_limit=8)
        self._thread = threading.Thread(target=self.scheduler.run)
        self._thread.start()

    def _send(self, frame: FromWorker) -> None:
        self.frames.put(frame)
        self.held.wait(10)

    def ask(self, number: int, text: str, max_tokens: int = 20, *, reproducible: bool = False) -> None:
        self.scheduler.submit(
            Generate(
                id=number,
                messages=[Message("user", [text])],
                max_tokens=max_tokens,
                sampling=Sampling(temperature=0.0),
                reproducible=reproducible,
                logits_digest=True,
            )
        )
        while self.scheduler.preparing:
            time.sleep(0.0005)

    def go_on_from(self, number: int, before: Finished) -> None:
        """Asks, reproducibly, for more after a finished request."""
        self.scheduler.submit(
            Generate(
                id=number,
                tokens=before.tokens + pack_tokens(list(b"And then?")),
                parent_key=before.finish_key,
                max_tokens=10,
                sampling=Sampling(temperature=0.0),
                reproducible=True,
                logits_digest=True,
            )
        )

    def hold_at(self, decodes: int) -> None:
        """The engine stops at that many decodes until `go_on`, so that what is asked meanwhile meets."""
        self.backend.pause_after_decodes = decodes

    def wait_until_held(self) -> None:
        """Returns when the engine has stopped there."""
        while len(self.backend.decodes) < (self.backend.pause_after_decodes or 0):
            time.sleep(0.0005)

    def go_on(self) -> None:
        self.backend.pause_after_decodes = None
        self.backend.resumed.set()

    def go_on_until(self, decodes: int) -> None:
        """Goes on, and stops again at that many decodes."""
        self.hold_at(decodes)
        self.backend.resumed.set()
        self.backend.resumed.clear()

    def all_finished(self, numbers: Iterable[int]) -> dict[int, Finished]:
        """The last frames of several requests, in whatever order they come."""
        return {number: self.finished(number) for number in numbers}

    def last_frame(self, number: int) -> Finished | Failed:
        """The last frame of a request; those of others are kept for when they are asked for."""
        while number not in self._last_frames:
            frame = self.frames.get(timeout=20)
            if isinstance(frame, Finished | Failed):
                self._last_frames[frame.id] = frame
        return self._last_frames.pop(number)

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
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "cache", ram_bytes=1 << 20, disk_bytes=1 << 24) as opened:
        yield opened


@pytest.fixture
def desk(store: Store) -> Iterator[Desk]:
    opened = Desk(store)
    yield opened
    opened.stop()


@pytest.fixture
def crowd(store: Store) -> Iterator[Desk]:
    opened = Desk(store, parallel=4)
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


def test_half_of_the_line_is_kept_for_those_who_have_nothing_in_it(desk: Desk) -> None:
    def ask(number: int, client: int) -> None:
        messages = [Message("user", ["Hum."])]
        desk.scheduler.submit(
            Generate(id=number, client=client, messages=messages, max_tokens=2, sampling=Sampling(temperature=0.0))
        )

    desk.hold_at(1)
    ask(1, client=9)
    desk.wait_until_held()
    for number in range(2, 9):  # the line has eight places
        ask(number, client=5)
    ask(20, client=6)
    desk.go_on()
    ended = {number: desk.last_frame(number) for number in (*range(1, 9), 20)}
    assert [number for number, frame in ended.items() if isinstance(frame, Failed)] == [6, 7, 8]


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


def test_a_cancel_before_the_first_token_leaves_the_question_unanswered(desk: Desk) -> None:
    desk.held.clear()
    desk.ask(1, "one")
    assert isinstance(desk.frames.get(timeout=10), Prefilled)
    desk.scheduler.cancel(1)
    desk.held.set()
    finished = desk.finished(1)
    assert len(finished.tokens) == 4 * finished.stats.prompt_tokens
    assert (finished.stats.cancelled, finished.answered) == (True, False)


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


def test_requests_that_meet_generate_in_one_batch(crowd: Desk) -> None:
    crowd.hold_at(1)
    for number in range(1, 5):
        crowd.ask(number, f"question {number}", max_tokens=60)
    crowd.go_on()
    finished = crowd.all_finished(range(1, 5))
    assert max(crowd.backend.batches) == 4
    assert {frame.stats.completion_tokens for frame in finished.values()} == {60}


def test_no_answer_is_mixed_with_another(crowd: Desk) -> None:
    texts = {number: f"The answer to {number} is {number * number}, of course." for number in range(1, 7)}
    for text in texts.values():
        crowd.backend.answer_with(text)
    crowd.hold_at(1)
    for number in texts:
        crowd.ask(number, f"question {number}", max_tokens=80)
    crowd.go_on()
    finished = crowd.all_finished(texts)
    assert {number: frame.stats.text for number, frame in finished.items()} == texts


def test_a_request_beyond_the_parallel_ones_waits_and_is_told_how_many_are_ahead(crowd: Desk) -> None:
    crowd.hold_at(1)
    for number in range(1, 7):
        crowd.ask(number, f"question {number}")
    crowd.go_on()
    ahead: dict[int, int] = {}
    finished: set[int] = set()
    while len(finished) < 6:
        frame = crowd.frames.get(timeout=20)
        if isinstance(frame, Waiting):
            ahead[frame.id] = frame.ahead
        elif isinstance(frame, Finished):
            finished.add(frame.id)
    assert {5, 6} <= ahead.keys(), "four are answered together"
    assert list(ahead.values()) == list(range(len(ahead)))
    assert list(ahead) == sorted(ahead)


def test_a_full_queue_answers_busy(crowd: Desk) -> None:
    crowd.hold_at(1)
    for number in range(1, 12):
        crowd.ask(number, f"question {number}")
    failed = crowd.last_frame(11)
    assert isinstance(failed, Failed)
    assert failed.failure.code == "busy"
    crowd.go_on()
    crowd.all_finished(range(1, 9))


def test_a_running_answer_waits_for_one_block_of_a_long_prompt_at_most(crowd: Desk) -> None:
    crowd.hold_at(4)
    crowd.ask(1, "first", max_tokens=200)
    crowd.ask(2, "a long prompt " * 20, max_tokens=5)
    crowd.go_on()
    crowd.all_finished([1, 2])
    blocks = [position for position, (start, end) in enumerate(crowd.backend.decodes) if end - start > 1]
    long = blocks[1:]  # the first one is the first request's
    assert len(long) >= 9
    assert all(later - earlier == 2 for earlier, later in itertools.pairwise(long)), "a block, a step, a block"


def test_a_reproducible_answer_does_not_depend_on_its_company(tmp_path: Path) -> None:
    def digests(folder: str, *, together: bool) -> dict[int, str | None]:
        with Store(tmp_path / folder, ram_bytes=1 << 20, disk_bytes=1 << 24) as cache:
            desk = Desk(cache, parallel=4)
            try:
                found = {}
                if together:
                    desk.hold_at(1)
                    desk.ask(99, "somebody else", max_tokens=300)
                for number in range(1, 5):
                    desk.ask(number, f"question {number} " * number * 9, reproducible=True)
                    if not together:
                        found[number] = desk.finished(number).stats.logits_digest
                desk.go_on()
                if together:
                    done = desk.all_finished(range(1, 5))
                    found = {number: frame.stats.logits_digest for number, frame in done.items()}
                return found
            finally:
                desk.stop()

    assert digests("alone", together=False) == digests("together", together=True)


def test_who_merely_follows_others_has_the_bits_of_a_cold_run(crowd: Desk, tmp_path: Path) -> None:
    for number in range(1, 4):
        crowd.ask(number, f"question {number}")
    crowd.all_finished(range(1, 4))
    crowd.ask(4, "and then?")
    later = crowd.finished(4)
    with Store(tmp_path / "cold", ram_bytes=1 << 20, disk_bytes=1 << 24) as empty:
        alone = Desk(empty)
        alone.ask(4, "and then?")
        cold = alone.finished(4)
        alone.stop()
    assert later.stats.logits_digest == cold.stats.logits_digest


def test_a_prompt_that_was_read_in_company_is_cached_with_the_bits_of_a_cold_run(crowd: Desk, tmp_path: Path) -> None:
    crowd.hold_at(3)
    crowd.ask(1, "first", max_tokens=100)
    crowd.ask(2, "a long prompt " * 9)
    crowd.go_on()
    crowd.all_finished([1, 2])
    crowd.ask(3, "a long prompt " * 9)
    warm = crowd.finished(3)
    assert warm.stats.cache_hit_kind == "exact"
    with Store(tmp_path / "cold", ram_bytes=1 << 20, disk_bytes=1 << 24) as empty:
        alone = Desk(empty)
        alone.ask(3, "a long prompt " * 9)
        cold = alone.finished(3)
        alone.stop()
    assert warm.stats.logits_digest == cold.stats.logits_digest


def test_requests_with_the_same_beginning_share_its_cells(crowd: Desk) -> None:
    crowd.hold_at(1)
    for number in range(1, 5):
        crowd.ask(number, "the same long beginning of every prompt " * 3 + str(number), max_tokens=60)
    crowd.go_on()
    crowd.all_finished(range(1, 5))
    assert crowd.backend.shared
    assert min(crowd.backend.shared) >= 64


def test_requests_that_do_not_fit_together_wait_for_cells(crowd: Desk) -> None:
    crowd.hold_at(1)
    for number in range(1, 5):
        crowd.ask(number, f"{number} " * 60, max_tokens=300)
    crowd.go_on()
    finished = crowd.all_finished(range(1, 5))
    assert {frame.stats.completion_tokens for frame in finished.values()} == {300}


def test_one_that_is_cancelled_leaves_the_others_alone(crowd: Desk) -> None:
    crowd.hold_at(30)
    for number in range(1, 4):
        crowd.ask(number, f"question {number}", max_tokens=50)
    crowd.frames.get(timeout=10)
    crowd.scheduler.cancel(2)
    crowd.go_on()
    finished = crowd.all_finished(range(1, 4))
    assert finished[2].stats.cancelled
    assert {finished[1].stats.finish_reason, finished[3].stats.finish_reason} == {"length"}


def test_a_step_that_fails_in_company_is_named_to_all_of_it_and_to_nobody_else(crowd: Desk) -> None:
    crowd.hold_at(1)
    crowd.backend.fail_next_shared_batch = True
    for number in range(1, 5):
        crowd.ask(number, f"question {number}", max_tokens=50)
    crowd.go_on()
    ends = {number: crowd.last_frame(number) for number in range(1, 5)}
    failed = {number for number, frame in ends.items() if isinstance(frame, Failed)}
    assert {1, 2} <= failed, "they meet first"
    assert 4 not in failed
    crowd.ask(5, "and later")
    assert crowd.finished(5).stats.finish_reason == "length"


def test_cancels_at_random_moments_leave_nothing_behind(crowd: Desk) -> None:
    random = Random(3)
    for number in range(1, 101):
        while crowd.scheduler.queue_depth >= 7:
            crowd.frames.get(timeout=10)
        crowd.ask(number, "x" * random.randrange(1, 200), max_tokens=random.randrange(1, 120))
        if random.random() < 0.7:
            crowd.scheduler.cancel(random.randrange(max(1, number - 6), number + 1))
    while crowd.scheduler.running or crowd.scheduler.queue_depth:
        crowd.frames.get(timeout=10)
    done = threading.Event()

    def evict() -> None:
        crowd.scheduler.evict()
        done.set()

    crowd.scheduler.call(evict)
    assert done.wait(10)
    assert crowd.engine.live_sequences == 0
    assert all(buffer.used_cells == 0 for buffer in crowd.backend.buffers)


def test_a_call_is_served_between_two_steps(crowd: Desk) -> None:
    crowd.hold_at(5)
    crowd.ask(1, "one", max_tokens=400)
    served = threading.Event()
    crowd.scheduler.call(served.set)
    crowd.go_on()
    assert served.wait(10)
    crowd.scheduler.cancel(1)
    assert crowd.finished(1)


def test_without_memory_for_company_requests_are_served_one_after_the_other(crowd: Desk) -> None:
    crowd.backend.fail_next_buffer = True
    crowd.hold_at(1)
    for number in range(1, 4):
        crowd.ask(number, f"question {number}", max_tokens=10)
    crowd.go_on()
    assert {frame.stats.completion_tokens for frame in crowd.all_finished(range(1, 4)).values()} == {10}


def test_an_eviction_that_cannot_read_a_running_state_ends_that_request_by_name(crowd: Desk) -> None:
    crowd.hold_at(6)
    crowd.ask(1, "one", max_tokens=100)
    crowd.wait_until_held()
    crowd.backend.fail_next_export = True
    crowd.scheduler.call(lambda: crowd.calls.append(crowd.scheduler.evict()))
    crowd.ask(2, "two", max_tokens=10)
    crowd.go_on()
    failed = crowd.last_frame(1)
    assert isinstance(failed, Failed)
    assert failed.failure.code == "decode_failed"
    assert crowd.finished(2).stats.completion_tokens == 10


def test_who_still_runs_goes_on_while_everything_is_forgotten(crowd: Desk, store: Store) -> None:
    crowd.hold_at(1)
    crowd.ask(1, "one", max_tokens=300)
    crowd.ask(2, "two", max_tokens=5)
    crowd.go_on_until(100)
    crowd.finished(2)
    crowd.scheduler.call(lambda: crowd.calls.extend((crowd.engine.forget_deleted(None), store.forget() > 0)))
    crowd.go_on()
    assert crowd.finished(1).stats.completion_tokens == 300
    assert crowd.calls == [1, True]


def test_a_finished_lender_that_is_in_the_way_goes(store: Store) -> None:
    desk = Desk(store, parallel=2)
    beginning = "the same long beginning of every prompt " * 3
    try:
        desk.hold_at(1)
        desk.ask(1, beginning + "1", max_tokens=200)
        desk.ask(2, "other", max_tokens=5)
        desk.go_on()
        desk.all_finished([1, 2])
        desk.backend.batches.clear()
        desk.backend.resumed.clear()
        desk.hold_at(len(desk.backend.decodes) + 2)
        desk.ask(3, beginning + "3", max_tokens=250)
        desk.ask(4, "four", max_tokens=60)
        desk.go_on()
        desk.all_finished([3, 4])
        assert max(desk.backend.batches) == 2, "they met, and the finished one made room"
    finally:
        desk.stop()


def test_a_reproducible_turn_does_not_depend_on_who_else_said_the_same(tmp_path: Path) -> None:
    def second_turn(folder: str, *, crowded_before: bool) -> str | None:
        with Store(tmp_path / folder, ram_bytes=1 << 20, disk_bytes=1 << 24) as cache:
            desk = Desk(cache, parallel=4)
            try:
                for text in ("one", "two", "three") if crowded_before else ():
                    desk.backend.answer_with(f"Answer to {text}.")
                if crowded_before:
                    desk.hold_at(1)
                    for number, text in enumerate(("one", "two", "three"), 1):
                        desk.ask(number, text, max_tokens=60)
                    desk.go_on()
                    desk.all_finished([1, 2, 3])
                desk.backend.answer_with("Answer to one.")
                desk.ask(4, "one", max_tokens=60, reproducible=True)
                first = desk.finished(4)
                desk.go_on_from(5, first)
                return desk.finished(5).stats.logits_digest
            finally:
                desk.stop()

    assert second_turn("alone", crowded_before=False) == second_turn("crowd", crowded_before=True)


def test_texts_to_embed_take_turns_with_running_answers(crowd: Desk) -> None:
    embedder = Embedder(crowd.backend, "fake", crowd.scheduler, crowd.frames.put)
    crowd.hold_at(2)
    crowd.ask(1, "one", max_tokens=60)
    crowd.scheduler.call(lambda: embedder.start(Embed(7, ["text"] * 30)))
    crowd.go_on()
    decodes_at_end = None
    while decodes_at_end is None:
        frame = crowd.frames.get(timeout=10)
        if isinstance(frame, Embedded):
            decodes_at_end = len(crowd.backend.decodes)
    assert decodes_at_end >= 28, "one text a tick"


def test_a_stop_does_not_wait_for_texts_to_embed(crowd: Desk) -> None:
    embedder = Embedder(crowd.backend, "fake", crowd.scheduler, crowd.frames.put)
    crowd.hold_at(2)
    crowd.ask(1, "one", max_tokens=60)
    crowd.scheduler.call(lambda: embedder.start(Embed(7, ["text"] * 30)))
    crowd.scheduler.stop()
    crowd.go_on()
    failed = crowd.last_frame(7)
    assert isinstance(failed, Failed)
    assert failed.failure.code == "answer_cut_off"


def test_texts_to_embed_are_let_go_when_nobody_wants_them_any_more(crowd: Desk) -> None:
    embedder = Embedder(crowd.backend, "fake", crowd.scheduler, crowd.frames.put)
    embedder.cancel(7)  # nothing to end yet
    embedder.expect(7)
    crowd.hold_at(2)
    crowd.ask(1, "one", max_tokens=60)
    crowd.scheduler.call(lambda: embedder.start(Embed(7, ["text"] * 30)))
    embedder.cancel(7)
    crowd.go_on()
    failed = crowd.last_frame(7)
    assert isinstance(failed, Failed)
    assert failed.failure.code == "answer_cut_off"


def test_a_grammar_whose_steps_take_too_long_ends_its_request_alone(
    crowd: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaker, "GRAMMAR_CPU_S", -1.0)
    crowd.scheduler.submit(
        Generate(id=7, messages=[Message("user", ["one"])], max_tokens=9, sampling=Sampling(grammar='root ::= "a"'))
    )
    failed = crowd.last_frame(7)
    assert isinstance(failed, Failed)
    assert (failed.failure.code, "too many ways" in failed.failure.message) == ("grammar_invalid", True)
    crowd.ask(1, "one")
    assert crowd.finished(1)


def test_a_prompt_that_fits_no_context_is_not_even_read(crowd: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def tokenize(_: object, text: str, **_first: bool) -> list[int]:
        read.append(text)
        return [0]

    monkeypatch.setattr(type(crowd.backend.vocabulary), "tokenize", tokenize)
    text = "x" * (crowd.backend.facts.context_size * LONGEST_TOKEN_BYTES + 1)
    crowd.scheduler.submit(Generate(id=7, messages=[Message("user", [text])], max_tokens=9, sampling=Sampling()))
    failed = crowd.last_frame(7)
    assert isinstance(failed, Failed)
    assert failed.failure.code == "context_exceeded"
    assert text not in read


def test_an_embedding_that_fails_in_whatever_way_is_named(crowd: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(crowd.backend, "embed", broken)
    embedder = Embedder(crowd.backend, "fake", crowd.scheduler, crowd.frames.put)
    crowd.scheduler.call(lambda: embedder.start(Embed(7, ["text"])))
    failed = crowd.last_frame(7)
    assert isinstance(failed, Failed)
    assert failed.failure.code == "internal"
    crowd.ask(1, "one")
    assert crowd.finished(1)


def test_short_prompts_are_read_in_one_turn_up_to_a_block(crowd: Desk, store: Store) -> None:
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    desk = crowd  # its prompts are of seven tokens
    desk.scheduler._preparation = new_preparation(FakeBackend(chat_template=template), store, desk.engine)
    desk.hold_at(5)
    desk.ask(1, "first", max_tokens=60)
    desk.wait_until_held()
    for number in range(2, 5):
        desk.ask(number, f"short {number}", max_tokens=30)
    desk.go_on()
    desk.all_finished(range(1, 5))
    reads = [position for position, (start, end) in enumerate(desk.backend.decodes) if end - start > 1]
    assert [later - earlier for earlier, later in itertools.pairwise(reads[1:])] == [1, 1]
