"""What `cache verify --recompute` asks of the daemon, and how it is told."""

from __future__ import annotations

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon

from erllama_cli.cache.recompute import findings, recompute_blocks
from erllama_cli.client import Client
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_FAILED, EXIT_USAGE, DaemonLost
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
    result = recompute_blocks(Client(user_directories()), REQUEST, lambda done, total: told.append((done, total)))
    assert (result, told) == (RESULT, [(0, 2), (1, 2), (2, 2)])
    assert fake.calls == [("/v1/cache/recompute", REQUEST)]


def test_a_failure_is_raised_by_its_name(fake: FakeDaemon) -> None:
    fake.recomputing = [Recomputing(0, 2), Failure("worker_died", "It died.", None, 1)]
    with pytest.raises(RemoteError, match="It died"):
        recompute_blocks(Client(user_directories()), REQUEST, lambda _done, _total: None)


def test_a_stream_that_breaks_off_is_no_result(fake: FakeDaemon) -> None:
    fake.recomputing = [Recomputing(0, 2)]
    with pytest.raises(DaemonLost):
        recompute_blocks(Client(user_directories()), REQUEST, lambda _done, _total: None)


def test_wrong_blocks_are_named_and_what_was_not_checked_is_counted() -> None:
    assert list(findings(RESULT)) == [
        f"wrong: {'ab' * 32}: tokens 257 to 512; set aside",
        "1 of 2 blocks computed again have every bit they had",
        "not checked: 1,000 not drawn, 3 generated beside others, which has other bits each time, 1 gone meanwhile",
    ]


def test_verify_has_blocks_computed_again_and_fails_if_one_is_wrong(run: Run, fake: FakeDaemon) -> None:
    fake.recomputing = [Recomputing(0, 2), RESULT]
    done = run("cache", "verify", "--recompute", "2", "--model", "demo", "--seed", "7")
    assert done.exit_code == EXIT_FAILED
    assert done.stdout.splitlines()[1:] == list(findings(RESULT))
    assert fake.calls == [("/v1/cache/recompute", REQUEST)]
    fake.recomputing = [msgspec.structs.replace(RESULT, wrong=[])]
    assert run("cache", "verify", "--recompute", "2", "--model", "demo").exit_code == 0


def test_verify_json_has_both_findings_in_one_object(run: Run, fake: FakeDaemon) -> None:
    fake.recomputing = [RESULT]
    done = run("cache", "verify", "--recompute", "2", "--model", "demo", "--json")
    shown = msgspec.json.decode(done.stdout)
    assert (shown["blocks"], shown["recomputed"]["wrong"][0]["key"]) == (0, WRONG.key)


@pytest.mark.parametrize("arguments", [["--recompute", "2"], ["--model", "demo"], ["--seed", "1"]])
def test_recompute_needs_a_model_and_a_model_something_to_do(run: Run, fake: FakeDaemon, arguments: list[str]) -> None:
    assert run("cache", "verify", *arguments).exit_code == EXIT_USAGE
    assert fake.calls == []
