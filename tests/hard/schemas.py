"""Every documented endpoint is asked for what its schema allows, and for what it does not.

`python -m hard.schemas` has a daemon with the real model asked by schemathesis at both doors, and fails if an answer is
a server error that is not documented, or is not what the document says. `make hard` runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hard.own_daemon import OwnDaemon, end_in_order, own_daemon
from hard.relay import relay

HOOKS = Path(__file__).with_name("schema_hooks.py")

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
"""Not asked: whether all that a schema allows is accepted, for no schema says which sessions and keys there are."""

DECLARED = (501, 503)
"""Server errors that the document declares: a model that cannot do it, and too many requests."""

CONFIG = f"""\
hooks = "{HOOKS}"
request-timeout = 60
continue-on-failure = true
tls-verify = false

[generation]
database = "none"

[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.enabled = false
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", {", ".join(f'"{code}"' for code in DECLARED)}]

[phases.stateful]
enabled = false
"""


@dataclass(frozen=True)
class Outcome:
    """What came of the cases at one door."""

    cases: int
    accepted: int
    operations: int
    failures: list[Any]
    errors: list[Any]
    text: str

    @property
    def is_good(self) -> bool:
        """Whether nothing failed."""
        return not (self.failures or self.errors) and self.cases > 0


def ask_everything(
    daemon: OwnDaemon,
    url: str,
    *,
    examples: int,
    seed: int,
    key: str = "",
    only: Sequence[str] = (),
    phases: str = "coverage,fuzzing",
) -> Outcome:
    """Has schemathesis ask what the daemon documents, so many examples an endpoint besides the edges of its schema."""
    config, report = daemon.home / "schemathesis.toml", daemon.home / "schemathesis.json"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", f"{url}/openapi.json"]
    command += [
        "--phases",
        phases,
        "--seed",
        str(seed),
        "--max-examples",
        str(examples),
        "--no-color",
        "--suppress-health-check",
        "all",
    ]
    command += ["--report", "json", "--report-json-path", str(report), "--exclude-path", "/v1/stop"]
    command += ["--checks", ",".join((*CHECKS, "every_event_conforms")), "--warnings", "off"]
    command += [word for path in only for word in ("--include-path", path)]
    command += ["--header", f"Authorization: Bearer {key}"] if key else []
    environment = daemon.environment | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "120"}
    done = subprocess.run(command, env=environment, cwd=daemon.home, capture_output=True, text=True, check=False)
    if not report.exists():
        return Outcome(0, 0, 0, [], [done.stderr], done.stdout)
    told = json.loads(report.read_text())
    report.unlink()
    operations = told["operations"]["tested"] if told["operations"] else 0
    rates = [rate for phases in told["valid_rates"].values() for rate in phases.values()]
    return Outcome(
        told["test_cases"]["generated"],
        sum(rate["accepted"] for rate in rates),
        operations,
        told["failures"],
        told["errors"],
        done.stdout,
    )


def main() -> int:
    """Asks at both doors, and prints what came of it."""
    end_in_order()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="how many cases there must be in all")
    parser.add_argument("--examples", type=int, default=150, help="how many examples an endpoint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], metavar="PATH", help="ask only this endpoint")
    given = parser.parse_args()
    total, is_good = 0, True
    with own_daemon(http="127.0.0.1:0") as daemon, relay(daemon.socket) as unix:
        daemon.command("load", "demo", "--quiet")
        for door, url, key in (("Unix socket", unix, ""), ("TCP", daemon.url or "", daemon.key)):
            started = time.monotonic()
            outcome = ask_everything(daemon, url, examples=given.examples, seed=given.seed, key=key, only=given.only)
            total += outcome.cases
            is_good &= outcome.is_good
            if not outcome.is_good:
                print(outcome.text, outcome.errors)
            seconds = time.monotonic() - started
            print(
                f"{door}: {outcome.cases} cases of {outcome.operations} endpoints in {seconds:.0f} s, "
                f"{outcome.accepted} of them accepted, "
                f"{len(outcome.failures)} kinds of failure",
                flush=True,
            )
        is_good &= daemon.status()["running"]
    print(f"schemas: {total} cases, seed {given.seed}: {'good' if is_good and total >= given.cases else 'FAILED'}")
    return 0 if is_good and total >= given.cases else 1


if __name__ == "__main__":
    sys.exit(main())
