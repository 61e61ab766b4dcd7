"""What no client and no worker should ever send is sent, and the daemon goes on answering.

`python -m hard.mutations` sends mutated requests to a daemon over fake workers, at both doors, and then has mutated
frames come from a fake worker and go to a real one. All the while the daemon must answer, its memory and its
descriptors stay as they are, and its log has no traceback. `make hard` runs it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from hard.frames_between import VARIABLE, Plan
from hard.mutation import mutated_frame, mutated_request
from hard.own_daemon import OwnDaemon, UnixConnection, end_in_order, own_home
from hard.valid_requests import valid_requests
from models import model_file

from erllama_daemon.models.supervisor import WORKER_COMMAND

FAKE_WORKER = (sys.executable, str(Path(__file__).parents[1] / "daemon" / "fake_worker.py"))
BETWEEN = (sys.executable, "-m", "hard.frames_between")

GROWTH_MIB = 48.0
"""So much may a daemon have grown after all of it, beside what it took when it had seen the first twentieth."""

DESCRIPTORS = 8
"""So many more descriptors may it have then."""

DECLARED = frozenset({501, 503})
SILENCE_S = 0.05
"""A request that was cut waits for its rest: who has no answer after this, and after another client had one, goes."""

PATIENCE_S = 20.0
"""The daemon must answer within this, whatever else it has to do."""

AT_ONCE = 24

ASK_S = 1.5
"""Who asks a worker that says nothing any more goes away after this."""

SILENT = 4
"""A worker that has said nothing to so many is waiting for the rest of a frame that was cut, and is killed."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_TRACEBACK = "Traceback (most recent call last)"


@dataclass
class Report:
    """What was seen, and what should not have been."""

    name: str
    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    start_mib: float = 0.0
    peak_mib: float = 0.0
    end_mib: float = 0.0
    mib: list[float] = field(default_factory=list)
    """What it took after each fifth."""

    start_descriptors: int = 0
    end_descriptors: int = 0
    slowest_status_s: float = 0.0

    def fail(self, why: str) -> None:
        """Notes what went wrong."""
        if len(self.failures) < 10:
            print(f"{self.name}: FAILED: {why}", file=sys.stderr, flush=True)
        self.failures.append(why)

    def __str__(self) -> str:
        told = ", ".join(f"{name} {count}" for name, count in sorted(self.outcomes.items()))
        after = f" ({', '.join(f'{mib:.1f}' for mib in self.mib)} after each fifth)" if self.mib else ""
        return (
            f"{self.name}: {self.cases} cases: {told}\n"
            f"  resident {self.start_mib:.1f} MiB at the start, {self.peak_mib:.1f} at the most, {self.end_mib:.1f} at "
            f"the end{after}; descriptors {self.start_descriptors} and {self.end_descriptors}; the slowest status came "
            f"after {1000 * self.slowest_status_s:.0f} ms; {len(self.failures)} failures"
        )


class Watch:
    """Asks a daemon for its status again and again, and looks at what it takes."""

    def __init__(self, daemon: OwnDaemon, report: Report) -> None:
        self._daemon = daemon
        self._report = report

    def start(self) -> None:
        """What it takes now is the measure."""
        figures = self._daemon.figures
        self._report.start_mib, self._report.start_descriptors = figures.mebibytes, figures.descriptors

    async def look(self) -> None:
        """Fails if it does not answer in time."""
        asked = time.monotonic()
        try:
            await asyncio.to_thread(self._daemon.ask, "GET", "/v1/status", None, PATIENCE_S)
        except (OSError, ValueError) as error:
            self._report.fail(f"no status after {time.monotonic() - asked:.1f} s: {error!r}")
        self._report.slowest_status_s = max(self._report.slowest_status_s, time.monotonic() - asked)
        if self._daemon.is_alive:
            self._report.peak_mib = max(self._report.peak_mib, self._daemon.figures.mebibytes)

    async def end(self) -> None:
        """Judges what it takes, once it has let go of everybody."""
        for _ in range(100):
            await self.look()
            if self._daemon.figures.descriptors <= self._report.start_descriptors:
                break
            await asyncio.sleep(0.1)
        figures, report = self._daemon.figures, self._report
        report.end_mib, report.end_descriptors = figures.mebibytes, figures.descriptors
        if report.end_mib - report.start_mib > GROWTH_MIB:
            report.fail(f"it grew by {report.end_mib - report.start_mib:.1f} MiB")
        if report.end_descriptors - report.start_descriptors > DESCRIPTORS:
            report.fail(f"it has {report.end_descriptors} descriptors, and had {report.start_descriptors}")
        lines = [line for line in self._daemon.log.splitlines() if _TRACEBACK in line]
        own = [line for line in lines if "worker says: " not in line]
        report.outcomes["tracebacks of workers"] += len(lines) - len(own)
        if own:
            report.fail("there is a traceback in its log: " + own[0].replace("\\n", "\n"))

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Looks twice a second meanwhile."""

        async def go_on() -> None:
            while True:
                await self.look()
                await asyncio.sleep(0.5)

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.end()


class Requests:
    """Mutated requests to one daemon, each known by the seed and its number."""

    def __init__(self, daemon: OwnDaemon, model: str, seed: int, report: Report) -> None:
        self._daemon = daemon
        self._seed = seed
        self._report = report
        _, document = daemon.ask("GET", "/openapi.json")
        self._unix = valid_requests(document, model)
        self._tcp = valid_requests(document, model, daemon.key) if daemon.url else []

    def raw(self, number: int) -> tuple[bytes, bool]:
        """The bytes of a case, and whether they go over TCP."""
        random = Random(f"{self._seed}-{number}")
        is_tcp = bool(self._tcp) and random.random() < 0.5
        return mutated_request(random, random.choice(self._tcp if is_tcp else self._unix)), is_tcp

    async def run(self, first: int, last: int) -> None:
        """Sends the cases from one number up to another, many at once."""
        numbers = iter(range(first, last))

        async def client() -> None:
            for number in numbers:
                raw, is_tcp = self.raw(number)
                try:
                    await self._send(number, raw, is_tcp=is_tcp)
                except OSError as error:
                    self._report.outcomes[type(error).__name__] += 1
                self._report.cases += 1

        await asyncio.gather(*(client() for _ in range(AT_ONCE)))

    async def _send(self, number: int, raw: bytes, *, is_tcp: bool) -> None:
        reader, writer = await asyncio.wait_for(self._connect(is_tcp=is_tcp), PATIENCE_S)
        try:
            if number % 500 == 0:  # a slow drip
                for position in range(min(len(raw), 200)):
                    writer.write(raw[position : position + 1])
                    await writer.drain()
                    await asyncio.sleep(0.005)
                raw = raw[200:]
            writer.write(raw)
            answer = await self._answer(reader)
        finally:
            writer.transport.abort()
        self._judge(number, answer)

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        """The beginning of the answer; nothing if somebody who asked later has been answered and this one has not."""
        reading = asyncio.create_task(reader.read(1 << 16))
        try:
            for _ in range(2):
                await asyncio.wait((reading,), timeout=SILENCE_S)
                if not reading.done():
                    await self._ask_for_nothing()
            return await reading if reading.done() else b""
        finally:
            reading.cancel()

    async def _ask_for_nothing(self) -> None:
        reader, writer = await asyncio.wait_for(self._connect(is_tcp=False), PATIENCE_S)
        try:
            writer.write(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.wait_for(reader.read(1 << 16), PATIENCE_S)
        finally:
            writer.transport.abort()

    async def _connect(self, *, is_tcp: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not is_tcp:
            return await asyncio.open_unix_connection(self._daemon.socket)
        host, _, port = (self._daemon.url or "").removeprefix("http://").rstrip("/").partition(":")
        return await asyncio.open_connection(host, int(port))

    def _judge(self, number: int, answer: bytes) -> None:
        if not answer:
            self._report.outcomes["no answer"] += 1
            return
        found = _STATUS_LINE.match(answer)
        status = int(found[1]) if found else 0
        self._report.outcomes[str(status) if status else "no HTTP"] += 1
        if status == 0 or (status >= 500 and status not in DECLARED):
            raw, _ = self.raw(number)
            self._report.fail(f"seed {self._seed}, case {number}: {raw[:2000]!r} was answered with {answer[:1000]!r}")


async def mutate_requests(home: Path, count: int, seed: int, settings: list[str], http: str | None) -> Report:
    """Sends so many mutated requests to a daemon over fake workers."""
    report = Report("requests")
    model = home / "fake.gguf"
    model.write_text("{}")
    daemon = OwnDaemon(home, settings, http, FAKE_WORKER)
    daemon.start()
    watch, requests = Watch(daemon, report), Requests(daemon, str(model), seed, report)
    warm_up = max(1, count // 20)
    await requests.run(0, warm_up)
    watch.start()
    async with watch.looking():
        for fifth in range(5):
            await requests.run(_part(warm_up, count, fifth), _part(warm_up, count, fifth + 1))
            report.mib.append(daemon.figures.mebibytes)
    daemon.stop()
    return report


def _part(first: int, last: int, fifth: int) -> int:
    return first + (last - first) * fifth // 5


async def mutate_frames(home: Path, way: Any, count: int, seed: int, rate: float) -> Report:
    """Has so many frames changed that a worker sends, a fake one, or that a real one is sent."""
    report = Report("frames from a worker" if way == "from_worker" else "frames to a worker")
    tally = home / "tally"
    tally.mkdir()
    if way == "from_worker":
        model, worker = home / "fake.gguf", [*FAKE_WORKER]
        model.write_text("{}")
    else:
        model, worker = model_file("dense", home), [*WORKER_COMMAND]
    plan = Plan(worker=worker, way=way, rate=rate, seed=seed, tally=str(tally))
    daemon = OwnDaemon(home, (), None, BETWEEN)
    daemon.environment[VARIABLE] = msgspec.json.encode(plan).decode()
    daemon.start()
    watch = Watch(daemon, report)
    watch.start()
    async with watch.looking():
        asked = silent = 0
        while report.cases < count and daemon.is_alive and not report.failures:
            outcome = await asyncio.to_thread(_ask, daemon, str(model), asked)
            report.outcomes[outcome] += 1
            asked += 1
            silent = silent + 1 if outcome == "no answer" else 0
            if silent == SILENT:
                report.outcomes["silent workers that were killed"] += 1
                silent = 0
                _kill_workers(daemon)
            if asked == 20:
                watch.start()
            report.cases = sum(file.stat().st_size for file in tally.iterdir())
    daemon.stop()
    return report


_ASKED: tuple[Callable[[str, int], tuple[str, dict[str, Any]]], ...] = (
    lambda model, number: (
        "/v1/complete",
        {
            "model": model,
            "messages": [{"role": "user", "parts": [f"hello {number}"]}],
            "max_tokens": 3,
            "sampling": {"seed": number % 9},
        },
    ),
    lambda model, number: ("/v1/tokenize", {"model": model, "text": f"hello {number}"}),
    lambda model, number: ("/v1/render", {"model": model, "messages": [{"role": "user", "parts": [f"hi {number}"]}]}),
    lambda model, number: ("/v1/detokenize", {"model": model, "tokens": [number % 200, 65]}),
    lambda model, number: ("/v1/complete", {"model": model, "tokens": [65, 66, number % 200], "max_tokens": 2}),
    lambda model, _number: ("/v1/evict", {"model": model}),
    lambda model, number: (
        "/v1/cache/explain",
        {"model": model, "messages": [{"role": "user", "parts": [f"hello {number}"]}]},
    ),
)


def _ask(daemon: OwnDaemon, model: str, number: int) -> str:
    """What becomes of one request, in a word."""
    path, body = _ASKED[number % len(_ASKED)](model, number)
    try:
        status, text = _lines(daemon, path, body)
    except TimeoutError:
        return "no answer"
    last = json.loads(text.splitlines()[-1]) if text.strip() else {}
    return str(last.get("code") or (status if status != 200 else "answered"))


def _kill_workers(daemon: OwnDaemon) -> None:
    """What a user would do with a worker that says nothing any more."""
    for model in daemon.status()["models"]:
        with suppress(ProcessLookupError):
            os.kill(model["pid"], signal.SIGKILL)


def _lines(daemon: OwnDaemon, path: str, body: object) -> tuple[int, str]:
    connection = UnixConnection(daemon.socket, ASK_S)
    try:
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def check_mutations(seed: int) -> None:
    """The same seed makes the same bytes."""
    raw = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    for number in range(100):
        assert mutated_request(Random(f"{seed}-{number}"), raw) == mutated_request(Random(f"{seed}-{number}"), raw)
    assert mutated_frame(Random(seed), b"\x02\0\0\0\x81\xa0") == mutated_frame(Random(seed), b"\x02\0\0\0\x81\xa0")


def main() -> int:
    """Sends it all, and prints what came of it."""
    end_in_order()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=99_000)
    parser.add_argument("--frames-from-worker", type=int, default=600)
    parser.add_argument("--frames-to-worker", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.2, help="how many of the frames are changed")
    given = parser.parse_args()
    reports = []
    if given.requests:
        with own_home() as home:
            settings = ["daemon.log_files=100", f"daemon.http_model_folders={home}"]
            reports.append(asyncio.run(mutate_requests(home, given.requests, given.seed, settings, "127.0.0.1:0")))
            print(reports[-1], flush=True)
    for way, count in (("from_worker", given.frames_from_worker), ("to_worker", given.frames_to_worker)):
        if count:
            with own_home() as home:
                reports.append(asyncio.run(mutate_frames(home, way, count, given.seed, given.rate)))
                print(reports[-1], flush=True)
    is_good = not any(report.failures for report in reports)
    total = sum(report.cases for report in reports)
    print(f"mutations: {total} cases, seed {given.seed}: {'good' if is_good else 'FAILED'}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
