"""What a command takes beside bare Python's own start, whole processes, as ratios of one run: `make bench`.

Each round has hyperfine measure bare Python and then every command: what disturbs a whole round cancels out of its
ratios. A warm answer comes from a daemon that holds the model and has cached the prompt.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from figures import Comparison, Goal, Report, print_report
from own_daemon import MODEL, own_daemon

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
PROMPT = "Why do llamas hum?"
NAME = "the build"

BARE = [sys.executable, "-c", "pass"]
ERLLAMA = str(Path(sys.executable).with_name("erllama"))


def completing(line: str) -> list[str]:
    """What a shell runs to complete a line."""
    return ["env", "_ERLLAMA_COMPLETE=complete_bash", f"_ERLLAMA_COMPLETE_LINE={line}", ERLLAMA]


COMMANDS: dict[str, tuple[list[str], float | None]] = {
    "--version": ([ERLLAMA, "--version"], 2),
    "--help": ([ERLLAMA, "--help"], 6),
    "run --help": ([ERLLAMA, "run", "--help"], 6),
    "chat --help": ([ERLLAMA, "chat", "--help"], 6),
    "completion of a command": (completing("erllama ca"), 6),
    "completion of an option": (completing("erllama run --te"), 6),
    "completion of a model": (completing("erllama run de"), 6),
    "completion of a conversation": (completing("erllama sessions show "), None),
    "warm run": ([ERLLAMA, "run", MODEL, PROMPT, "-n", "1"], 9),
    "ps": ([ERLLAMA, "ps"], None),
}
"""What is measured, and how many times bare Python's start it may take."""


def measure_round(hyperfine: str, runs: int, commands: Sequence[Sequence[str]]) -> list[float]:
    """The median of so many runs of each command, in milliseconds."""
    with tempfile.NamedTemporaryFile(suffix=".json") as figures:
        measure = [hyperfine, "--shell=none", "--style=none", "--warmup=1", f"--runs={runs}", "--export-json"]
        subprocess.run(
            [*measure, figures.name, *(shlex.join(command) for command in commands)],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return [1000 * result["median"] for result in json.load(figures)["results"]]


def measure(hyperfine: str, rounds: int, runs: int) -> list[Comparison]:
    """All commands beside bare Python."""
    measured = [
        measure_round(hyperfine, runs, [BARE, *(command for command, _most in COMMANDS.values())])
        for _round in range(rounds)
    ]
    bare, *others = (list(samples) for samples in zip(*measured, strict=True))
    return [
        Comparison(
            what=what,
            unit="ms",
            ours=samples,
            against="bare Python",
            theirs=bare,
            goal=None if most is None else Goal("<=", most),
        )
        for (what, (_command, most)), samples in zip(COMMANDS.items(), others, strict=True)
    ]


def prepare() -> None:
    """A conversation that can be completed, and the warm prompt. Every module that is measured is compiled then."""
    for arguments in (("--session", NAME, "Hello."), (PROMPT,)):
        command = [ERLLAMA, "run", MODEL, *arguments, "-n", "1"]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    """Measures, and prints the table."""
    parser = argparse.ArgumentParser(description="What a command takes beside bare Python's start, as ratios.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=8, help="of each command in a round")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every sample here too")
    arguments = parser.parse_args()
    hyperfine = shutil.which("hyperfine")
    if hyperfine is None:
        sys.exit("hyperfine measures these; install it (it is a package of that name, of Debian's too)")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed erllama is compiled
    with own_daemon():
        prepare()
        compared = measure(hyperfine, arguments.rounds, arguments.runs)
    report = Report(
        machine=platform.platform(),
        model=MODEL,
        cores=CORES,
        rounds=arguments.rounds,
        comparisons=compared,
        notes=[f"A figure is the median of {arguments.runs} runs. The ratio is to bare Python in the same round."],
    )
    print_report(report)
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


if __name__ == "__main__":
    main()
