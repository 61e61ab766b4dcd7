"""Two hundred connections, most of them badly behaved, and no answer is lost or given to another.

`python -m hard.load` asks a daemon with the real model over TCP for five minutes. Every answer is forced by a grammar
to hold the name of its own request. `make hard` runs it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from hard.client_under_load import BUSY, Client, Kind, Tally
from hard.own_daemon import OwnDaemon, end_in_order, figures_of, own_daemon

SHARES = {Kind.WELL: 0.5, Kind.SLOW: 0.2, Kind.HANG_UP: 0.15, Kind.FLOOD: 0.15}
PAUSES_S = {Kind.WELL: 5.0, Kind.SLOW: 1.0, Kind.HANG_UP: 3.0, Kind.FLOOD: 0.0}
"""How long each kind waits between two requests, on average."""

ROUNDS = 1.5
"""Who asks one thing at a time waits for no more than so many rounds in which every connection is served once."""

SLACK_S = 5.0

GROWTH_MIB = 64.0
DESCRIPTORS = 16


@dataclass
class Outcome:
    """What came of it."""

    tally: Tally
    connections: int
    seconds: float
    alone_s: list[float]
    loaded_s: list[float]
    deaths: int
    daemon_mib: tuple[float, float, float]
    worker_mib: tuple[float, float]
    descriptors: tuple[int, int]

    @property
    def bound_s(self) -> float:
        """What a first token may take: a round is as long as the clients and the machine make it."""
        return ROUNDS * self.connections * self.seconds / max(1, self.tally.answers.total()) + SLACK_S

    @property
    def failures(self) -> list[str]:
        """What should not have been."""
        told = [*self.tally.lost[:10], *self.tally.mixed[:10]]
        strange = [name for name in self.tally.refused if BUSY not in name]
        told += [f"refused with {name}" for name in strange]
        told += [f"{self.deaths} workers died"] if self.deaths else []
        start, _, end = self.daemon_mib
        told += [f"the daemon grew by {end - start:.1f} MiB"] if end - start > GROWTH_MIB else []
        before, after = self.descriptors
        told += [f"the daemon has {after} descriptors, and had {before}"] if after - before > DESCRIPTORS else []
        told += ["no answer at all"] if not self.loaded_s else []
        slowest = max(self.loaded_s, default=0.0)
        told += [f"a first token took {slowest:.1f} s of {self.bound_s:.1f}"] if slowest > self.bound_s else []
        return told

    def __str__(self) -> str:
        tally = self.tally
        answers = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.answers.items()))
        refused = ", ".join(f"{name} {count}" for name, count in sorted(tally.refused.items())) or "none"
        return (
            f"in {self.seconds:.0f} s {tally.answers.total()} answers ({answers}); refused: {refused}; "
            f"{tally.hung_up} hung up; connections used again {tally.reused} times; "
            f"lost {len(tally.lost)}, mixed {len(tally.mixed)}\n"
            f"  first token of a well-behaved client alone: {told(self.alone_s)}; under load: {told(self.loaded_s)}, "
            f"with {self.bound_s:.1f} s allowed\n"
            f"  daemon {self.daemon_mib[0]:.1f} MiB at the start, {self.daemon_mib[1]:.1f} at the most, "
            f"{self.daemon_mib[2]:.1f} at the end; worker {self.worker_mib[0]:.0f} and {self.worker_mib[1]:.0f} MiB; "
            f"descriptors {self.descriptors[0]} and {self.descriptors[1]}; {self.deaths} workers died"
        )


def told(seconds: Sequence[float]) -> str:
    """Median, 95th percentile and maximum, in milliseconds."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return (
        f"median {1000 * statistics.median(ordered):.0f} ms, p95 {1000 * p95:.0f} ms, "
        f"max {1000 * ordered[-1]:.0f} ms of {len(ordered)}"
    )


async def load(daemon: OwnDaemon, *, seconds: float, connections: int, seed: int, alone: int = 20) -> Outcome:
    """Has so many clients ask for so long; then all requests have ended, and the daemon has let go of everybody."""
    address = urlsplit(daemon.url or "")
    host, port, tally = address.hostname or "", address.port or 0, Tally()

    def client(name: str, kind: Kind) -> Client:
        return Client(name, host, port, daemon.key, kind, tally, seed)

    measured = client("m", Kind.WELL)
    for _ in range(alone):
        await measured.first_token()
    alone_s, measured.first_token_s = measured.first_token_s[1:], []
    worker_pid = daemon.status()["models"][0]["pid"]
    start, worker_start = daemon.figures, figures_of(worker_pid)
    peak = start.mebibytes
    began = time.monotonic()
    until = began + seconds
    kinds = [kind for kind, share in SHARES.items() for _ in range(round(share * (connections - 1)))]
    clients = [client(f"{kind.name[0].lower()}{number}", kind) for number, kind in enumerate(kinds)]
    tasks = [asyncio.create_task(each.run(until, PAUSES_S[each.kind])) for each in clients]
    while time.monotonic() < until:
        await measured.first_token()
        peak = max(peak, daemon.figures.mebibytes)
        await asyncio.sleep(0.2)
    await asyncio.gather(*tasks)
    measured.close()
    took = time.monotonic() - began
    for _ in range(100):
        if daemon.figures.descriptors <= start.descriptors:
            break
        await asyncio.sleep(0.1)
    end, status = daemon.figures, daemon.status()
    return Outcome(
        tally=tally,
        connections=connections,
        seconds=took,
        alone_s=alone_s,
        loaded_s=measured.first_token_s,
        deaths=daemon.log.count("worker ended"),
        daemon_mib=(start.mebibytes, max(peak, end.mebibytes), end.mebibytes),
        worker_mib=(worker_start.mebibytes, figures_of(status["models"][0]["pid"]).mebibytes),
        descriptors=(start.descriptors, end.descriptors),
    )


def main() -> int:
    """Loads it, and prints what came of it."""
    end_in_order()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with own_daemon(["daemon.log_files=100"], "127.0.0.1:0") as daemon:
        daemon.command("load", "demo", "--quiet")
        outcome = asyncio.run(load(daemon, seconds=60 * given.minutes, connections=given.connections, seed=given.seed))
    print(outcome)
    for failure in outcome.failures:
        print(f"FAILED: {failure}")
    print(f"load: {given.connections} connections, seed {given.seed}: {'FAILED' if outcome.failures else 'good'}")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
