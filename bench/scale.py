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
from long_chat import ChatBytes, measure_long_chat
from restore_speed import measure_restore

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

RESTORES_A_ROUND = 4


class ScaleReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run found; `--json` writes it."""

    machine: str
    cores: int
    blocks: int
    rounds: int
    measurements: list[Measurement]
    chat: ChatBytes | None


def parse_arguments() -> argparse.Namespace:
    """What to measure, and where to write it; 0 leaves a part out."""
    parser = argparse.ArgumentParser(description="The cache at scale: what holds with very many blocks.")
    parser.add_argument("--blocks", type=int, default=100_000, help="how many the large cache holds (118 or more)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--restore", type=int, default=2048, metavar="TOKENS", help="length of the chain to restore")
    parser.add_argument("--turns", type=int, default=40, help="how many the long chat has")
    parser.add_argument("--tokens", type=int, default=8000, help="how long the chat grows")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every sample here too")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw what the chat wrote (needs the bench extra)")
    return parser.parse_args()


def main() -> None:
    """Measures, and prints the table."""
    arguments = parse_arguments()
    measurements: list[Measurement] = []
    if arguments.blocks:
        measurements += measure_large_cache(arguments.blocks, arguments.rounds)
    if arguments.restore:
        measurements += measure_restore(arguments.restore, RESTORES_A_ROUND * arguments.rounds)
    chat = measure_long_chat(arguments.turns, arguments.tokens) if arguments.turns else None
    if chat is not None:
        measurements.append(chat.measurement)
    print(f"\n{CORES} cores, {arguments.rounds} rounds; median (lowest to highest)\n")
    print_measurements(measurements)
    report = ScaleReport(
        machine=platform.platform(),
        cores=CORES,
        blocks=arguments.blocks,
        rounds=arguments.rounds,
        measurements=measurements,
        chat=chat,
    )
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    if arguments.svg is not None and chat is not None:
        from bytes_plot import draw_bytes  # only now: it needs the `bench` extra

        draw_bytes(chat, arguments.svg)


if __name__ == "__main__":
    main()
