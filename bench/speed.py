"""erllama's speed beside llama.cpp's, in one run on this machine, as ratios: `make bench`.

Each round starts every contender anew, measures it and stops it before the next one starts, in an order that turns
around from round to round. Without the `bench` extra, llama.cpp's server is left out. Its wheel is compiled for any
processor and llama-cpp-python for this one, so `--server` takes a `llama-server` that was built here; the bare loop
always runs the very build that erllama runs.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from bare_loop import BareJob, rates
from figures import Comparison, Goal, Report, print_report
from own_daemon import OwnDaemon, commands_seconds, median_rate, own_daemon
from peer_server import SLOTS, PeerServer, PeerSetup, is_installed, running_peer

from erllama_daemon.messages import ModelOptions

ALONE_TOKENS = 256
TOGETHER_TOKENS = 128
LONG_TOKENS = 2000
TEXT_INTERVAL_S = 0.015
"""How long erllama keeps text to send it together."""

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Prompts:
    """The same tokens for everybody. `banned` are the end tokens, ruled out where lengths must be equal."""

    alone: list[list[int]]
    together: list[list[int]]
    long: list[int]
    beside: list[int]
    banned: list[int]


@dataclass(slots=True)
class Samples:
    """One figure a round; empty for who does not take part. Rates in tokens a second, times in milliseconds."""

    decode: list[float] = field(default_factory=list)
    decode_by_worker: list[float] = field(default_factory=list)
    bare_decode: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    bare_together: list[float] = field(default_factory=list)
    peer_together: list[float] = field(default_factory=list)
    prefill: list[float] = field(default_factory=list)
    bare_prefill: list[float] = field(default_factory=list)
    peer_prefill: list[float] = field(default_factory=list)
    pause: list[float] = field(default_factory=list)
    two_ticks: list[float] = field(default_factory=list)
    in_a_row: list[float] = field(default_factory=list)
    at_once: list[float] = field(default_factory=list)


def measure_own(samples: Samples, prompts: Prompts) -> None:
    """One stream, eight clients, a long prompt, and an answer beside a long prompt."""
    with own_daemon(ModelOptions(parallel=SLOTS)) as daemon:
        answers = [daemon.ask(prompt, ALONE_TOKENS) for prompt in prompts.alone]
        samples.decode.append(median_rate(answers, lambda answer: answer.client_rate))
        samples.decode_by_worker.append(median_rate(answers, lambda answer: answer.worker_rate))
        daemon.together([prompt[::-1] for prompt in prompts.together], 4, prompts.banned)  # warms up
        samples.together.append(daemon.together(prompts.together, TOGETHER_TOKENS, prompts.banned))
        alone = daemon.ask(prompts.long, 1)
        assert alone.done.cached_tokens == 0
        samples.prefill.append(alone.prefill_rate)
        running = prompts.alone[0][::-1]
        pause, two_ticks = daemon.longest_pause(running, TOGETHER_TOKENS, prompts.banned, prompts.beside)
        samples.pause.append(1000 * pause)
        samples.two_ticks.append(1000 * (two_ticks + TEXT_INTERVAL_S))


def measure_bare(samples: Samples, prompts: Prompts, model: str, context_size: int) -> None:
    """What the build can do."""
    job = BareJob(
        model=model,
        threads=CORES,
        context_size=context_size,
        alone=prompts.alone,
        alone_tokens=ALONE_TOKENS,
        together=prompts.together,
        together_tokens=TOGETHER_TOKENS,
        long=prompts.long,
    )
    found = rates(job)
    samples.bare_decode.append(found.alone)
    samples.bare_together.append(found.together)
    samples.bare_prefill.append(found.prefill)


def measure_peer(samples: Samples, prompts: Prompts, setup: PeerSetup) -> None:
    """llama.cpp's server: eight clients, and a long prompt."""
    with running_peer(setup) as server:
        samples.peer_together.append(_peer_together(server, prompts))
        samples.peer_prefill.append(server.prefill(prompts.long))


def measure_commands(samples: Samples) -> None:
    """Eight commands in a row and at once."""
    samples.in_a_row.append(1000 * commands_seconds(1))
    samples.at_once.append(1000 * commands_seconds(8))


def better_setup(prompts: Prompts, setup: PeerSetup) -> PeerSetup:
    """With one buffer for all slots or one for each: whichever answers eight clients faster here."""

    def speed(candidate: PeerSetup) -> float:
        with running_peer(candidate) as server:
            return statistics.median(_peer_together(server, prompts) for _ in range(2))

    return max((setup, msgspec.structs.replace(setup, is_unified=True)), key=speed)


def _peer_together(server: PeerServer, prompts: Prompts) -> float:
    server.together([prompt[::-1] for prompt in prompts.together], 4, prompts.banned)  # warms up
    return server.together(prompts.together, TOGETHER_TOKENS, prompts.banned)


def make_prompts(daemon: OwnDaemon) -> Prompts:
    """Prompts of 30, 60 and 2,000 tokens that share no beginning."""

    def prompt(start: str, length: int) -> list[int]:
        days = range(1, 1 + length // 8)
        text = f"{start} keeps a diary. " + " ".join(f"On day {day} a llama crossed river {day % 31}." for day in days)
        return daemon.tokenize(text)[:length]

    names = ("Ada", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal")
    return Prompts(
        alone=[prompt(name, 30) for name in ("Ida", "Jo")],
        together=[prompt(name, 60) for name in names],
        long=prompt("Kim", LONG_TOKENS),
        beside=prompt("Lou", LONG_TOKENS),
        banned=daemon.tokenize("<|im_end|><|endoftext|>"),
    )


def comparisons(samples: Samples, rounds: int, peer: str) -> list[Comparison]:
    """The lines of the table, of the finished rounds."""
    rate = functools.partial(Comparison, unit="tokens/s")
    bare, at_least = "bare loop", functools.partial(Goal, ">=")
    lines = [
        rate(what="one stream, as its client sees it", ours=samples.decode, against=bare, theirs=samples.bare_decode,
             goal=at_least(0.97)),
        rate(what="one stream, by generation_ms", ours=samples.decode_by_worker, against=bare,
             theirs=samples.bare_decode, goal=at_least(0.97)),
        rate(what="eight clients", ours=samples.together, against=peer, theirs=samples.peer_together,
             goal=at_least(1.0)),
        rate(what="eight clients", ours=samples.together, against=bare, theirs=samples.bare_together),
        rate(what="cold prefill", ours=samples.prefill, against=peer, theirs=samples.peer_prefill,
             goal=at_least(0.95)),
        rate(what="cold prefill", ours=samples.prefill, against=bare, theirs=samples.bare_prefill),
        Comparison(what="pause beside a long prompt", unit="ms", ours=samples.pause, against="two ticks + 15 ms",
                   theirs=samples.two_ticks, goal=Goal("<=", 1.0)),
        Comparison(what="eight commands in a row", unit="ms", ours=samples.in_a_row, against="at once",
                   theirs=samples.at_once, goal=Goal(">", 1.0)),
    ]  # fmt: skip
    return [
        msgspec.structs.replace(line, ours=line.ours[:rounds], theirs=line.theirs[:rounds])
        for line in lines
        if line.theirs[:rounds]
    ]


def run_rounds(rounds: int, steps: Sequence[Callable[[], None]]) -> int:
    """Every step in each round, forwards and backwards in turn; gives how many rounds were finished by Ctrl-C."""
    for number in range(rounds):
        started = time.perf_counter()
        try:
            for step in steps if number % 2 == 0 else reversed(steps):
                step()
        except KeyboardInterrupt:
            return number
        seconds, load = time.perf_counter() - started, os.getloadavg()[0]
        print(f"round {number + 1} of {rounds}, {seconds:.0f} s, load average {load:.1f}", flush=True)
    return rounds


def main() -> None:
    """Measures, and prints the table."""
    parser = argparse.ArgumentParser(description="erllama's speed beside llama.cpp's, as ratios.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server", metavar="FILE", help="a llama-server, instead of the one in the xllamacpp wheel")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every sample here too")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with own_daemon() as daemon:
        prompts, model, context_size = make_prompts(daemon), daemon.model_path, daemon.context_size
    samples, notes = Samples(), []
    steps = [
        functools.partial(measure_own, samples, prompts),
        functools.partial(measure_bare, samples, prompts, model, context_size),
        functools.partial(measure_commands, samples),
    ]
    if arguments.server is not None or is_installed():
        setup = PeerSetup(model=model, threads=CORES, context_size=LONG_TOKENS + 304, binary=arguments.server)
        setup = better_setup(prompts, setup)
        steps.insert(1, functools.partial(measure_peer, samples, prompts, setup))
        notes.append(f"llama.cpp's server: {'one buffer for all slots' if setup.is_unified else 'a buffer a slot'}")
    else:
        notes.append("xllamacpp is not installed (pip install 'erllama[bench]'): llama.cpp's server was left out")
    finished = run_rounds(arguments.rounds, steps)
    if not finished:
        sys.exit("no round was finished")
    report = Report(
        machine=platform.platform(),
        model=Path(model).name,
        cores=CORES,
        rounds=finished,
        comparisons=comparisons(samples, finished, "llama-server" if arguments.server else "xllamacpp"),
        notes=notes,
    )
    print_report(report)
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


if __name__ == "__main__":
    main()
