"""The cache at scale, in one run on this machine: `make bench`.

A cache of 100,000 blocks beside an empty one, restoring beside copying and reading the same bytes, and what a long chat
writes beside what a snapshot of all of it at each turn would. Prints each figure, its target, and whether it holds; a
target that is missed is no failure of the command, for the machine may be busy.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

import msgspec
from figures import Measurement, print_measurements
from large_cache import measure_large_cache

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ScaleReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run found; `--json` writes it."""

    machine: str
    cores: int
    blocks: int
    rounds: int
    measurements: list[Measurement]


def main() -> None:
    """Measures, and prints the table."""
    parser = argparse.ArgumentParser(description="The cache at scale: what holds with very many blocks.")
    parser.add_argument("--blocks", type=int, default=100_000, help="how many the large cache holds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every sample here too")
    arguments = parser.parse_args()
    measurements = measure_large_cache(arguments.blocks, arguments.rounds)
    print(f"\n{CORES} cores, {arguments.rounds} rounds; median (lowest to highest)\n")
    print_measurements(measurements)
    report = ScaleReport(
        machine=platform.platform(),
        cores=CORES,
        blocks=arguments.blocks,
        rounds=arguments.rounds,
        measurements=measurements,
    )
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


if __name__ == "__main__":
    main()
