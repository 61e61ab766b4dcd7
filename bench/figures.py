"""What was measured, round by round, and the table and the JSON that it becomes."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

_HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio must be, or a figure in its own unit."""

    relation: Literal[">=", "<=", ">", "<"]
    bound: float

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:.2f}"

    def holds(self, ratio: float) -> bool:
        """Whether a ratio or figure is as it must be."""
        return _HOLDS[self.relation](ratio, self.bound)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One line: erllama's figure and another's, a pair a round."""

    what: str
    unit: str
    ours: list[float]
    against: str
    theirs: list[float]
    goal: Goal | None = None

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs, of the same round: what disturbs a whole round cancels out."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return statistics.median(self.ratios)


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One line: a figure by itself, once a round, and what its median must be."""

    what: str
    unit: str
    samples: list[float]
    goal: Goal | None = None

    @property
    def median(self) -> float:
        """The median sample."""
        return statistics.median(self.samples)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run found; `--json` writes it."""

    machine: str
    model: str
    cores: int
    rounds: int
    comparisons: list[Comparison]
    notes: list[str]


def print_report(report: Report) -> None:
    """The table: medians, and the lowest and highest value in brackets."""
    print(f"{report.model}, {report.cores} cores, {report.rounds} rounds; median (lowest to highest)\n")
    rows: list[tuple[str, ...]] = [("", "erllama", "other", "", "ratio", "goal")]
    rows += [_row(comparison) for comparison in report.comparisons]
    _print_rows(rows)
    for note in report.notes:
        print(f"\n{note}")


def print_measurements(measurements: Sequence[Measurement]) -> None:
    """The table: medians, and the lowest and highest value in brackets."""
    rows: list[tuple[str, ...]] = [("what", "measured", "target", "")]
    rows += [_measured_row(measurement) for measurement in measurements]
    _print_rows(rows)


def _print_rows(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _measured_row(measurement: Measurement) -> tuple[str, ...]:
    goal, unit = measurement.goal, measurement.unit
    return (
        measurement.what,
        f"{_spread(measurement.samples, 2)} {unit}".rstrip(),
        "" if goal is None else f"{goal.relation} {goal.bound:g} {unit}".rstrip(),
        "" if goal is None else "holds" if goal.holds(measurement.median) else "missed",
    )


def _row(comparison: Comparison) -> tuple[str, ...]:
    goal = comparison.goal
    return (
        f"{comparison.what}, {comparison.unit}",
        _spread(comparison.ours, 1),
        _spread(comparison.theirs, 1),
        comparison.against,
        _spread(comparison.ratios, 3),
        "" if goal is None else f"{goal} {'holds' if goal.holds(comparison.ratio) else 'MISSED'}",
    )


def _spread(values: Sequence[float], digits: int) -> str:
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"
