"""What `cache verify --recompute` asks of the daemon, and how it is told."""

from __future__ import annotations

import pytest
from cli.fake_daemon import FakeDaemon

from erllama_cli.cache.recompute import findings, recompute
from erllama_cli.client import Client
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import DaemonLost
from erllama_daemon.messages import (
    Failure,
    Recomputed,
    RecomputeRequest,
    Recomputing,
    RemoteError,
    WrongBlock,
)

REQUEST = RecomputeRequest(model="demo", count=2, seed=7)
WRONG = WrongBlock(key="ab" * 32, start=256, tokens=256)
RESULT = Recomputed(
    model="demo",
    seed=7,
    checked=2,
    wrong=[WRONG],
    not_drawn=1_000,
    together=3,
    other_roots=0,
    unreachable=0,
    gone=1,
)


def test_progress_is_passed_on_and_the_result_given(fake: FakeDaemon) -> None:
    told: list[tuple[int, int]] = []
    fake.recomputing = [Recomputing(0, 2), Recomputing(1, 2), Recomputing(2, 2), RESULT]
    result = recompute(Client(user_directories()), REQUEST, lambda done, total: told.append((done, total)))
    assert (result, told) == (RESULT, [(0, 2), (1, 2), (2, 2)])
    assert fake.calls == [("/v1/recompute", REQUEST)]


def test_a_failure_is_raised_by_its_name(fake: FakeDaemon) -> None:
    fake.recomputing = [Recomputing(0, 2), Failure("worker_died", "It died.", None, 1)]
    with pytest.raises(RemoteError, match="It died"):
        recompute(Client(user_directories()), REQUEST, lambda _done, _total: None)


def test_a_stream_that_breaks_off_is_no_result(fake: FakeDaemon) -> None:
    fake.recomputing = [Recomputing(0, 2)]
    with pytest.raises(DaemonLost):
        recompute(Client(user_directories()), REQUEST, lambda _done, _total: None)


def test_wrong_blocks_are_named_and_what_was_not_checked_is_counted() -> None:
    assert list(findings(RESULT)) == [
        f"wrong: {'ab' * 32}: tokens 257 to 512; set aside",
        "1 of 2 blocks computed again have every bit they had",
        "not checked: 1,000 not drawn, 3 generated beside others, which has other bits each time, 1 gone meanwhile",
    ]
