"""The proofs of this folder, each in a few seconds; `make hard` has them whole."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from hard.agent import agent
from hard.load import load
from hard.mutation import mutated_frame, mutated_request
from hard.mutations import mutate_frames, mutate_requests
from hard.own_daemon import own_daemon
from hard.relay import relay
from hard.schemas import ask_everything


def test_what_the_document_allows_is_answered_as_it_says() -> None:
    only = ("/v1/status", "/v1/sessions", "/v1/chat/completions", "/v1/tokenize")
    with own_daemon() as daemon, relay(daemon.socket) as url:
        outcome = ask_everything(daemon, url, examples=5, seed=1, only=only, phases="fuzzing")
    assert outcome.is_good, (outcome.text, outcome.errors)
    assert outcome.operations == len(only) + 1  # conversations are listed, and begun


def test_a_daemon_that_is_sent_mutated_requests_goes_on(user_home: Path) -> None:
    settings = [f"daemon.http_model_folders={user_home}"]
    report = asyncio.run(mutate_requests(user_home, 200, 1, settings, "127.0.0.1:0"))
    assert report.failures == [], report
    assert report.cases == 200
    assert {"200", "400"} <= {*report.outcomes}


def test_a_daemon_whose_worker_sends_mutated_frames_goes_on(user_home: Path) -> None:
    report = asyncio.run(mutate_frames(user_home, "from_worker", 6, 3, 0.2))
    assert report.failures == [], report
    assert report.outcomes["answered"] > 0


def test_a_seed_makes_the_same_mutations_again() -> None:
    raw = b'POST /v1/tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{"text": "x"}'
    frame = b"\x0a\0\0\0\x81\xa4text\xa4hums"
    once, again = (
        [(mutated_request(Random(n), raw), mutated_frame(Random(n), frame)) for n in range(99)] for _ in "xx"
    )
    assert once == again
    assert len({request for request, _ in once}) > 80


def test_no_answer_is_lost_or_given_to_another_while_others_behave_badly() -> None:
    with own_daemon(http="127.0.0.1:0") as daemon:
        daemon.command("load", "demo", "--quiet")
        outcome = asyncio.run(load(daemon, seconds=1, connections=10, seed=1, alone=2))
    tally = outcome.tally
    assert (tally.lost, tally.mixed, outcome.deaths) == ([], [], 0), outcome
    assert tally.answers.total() > 0
    assert tally.hung_up > 0


def test_a_coding_agent_that_resends_everything_has_it_reused_across_a_restart_and_up_to_an_edit() -> None:
    with own_daemon() as daemon, agent(daemon, last_prompt=700, turns=6) as worker:
        for number in range(6):
            if number == 3:
                daemon.restart()
            turn = worker.work()
            assert turn.cached >= turn.before, turn
        edited = worker.edit(3)
    assert edited.cached >= edited.before > 0
    assert worker.turns[-1].prompt > 600
