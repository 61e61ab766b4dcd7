"""The harness of `bench/scale.py` runs, whatever the machine's speed; what it measures is judged by nobody here."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent / "bench"
SMALL = ("--blocks", "300", "--rounds", "1", "--restore", "64", "--turns", "2", "--tokens", "100")


def test_the_scale_bench_prints_verdicts_writes_json_and_draws(tmp_path: Path) -> None:
    figures, drawing = tmp_path / "scale.json", tmp_path / "bytes.svg"
    command = [sys.executable, str(BENCH / "scale.py"), *SMALL, "--json", str(figures), "--svg", str(drawing)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=140, check=False)
    assert done.returncode == 0, done.stderr

    report = json.loads(figures.read_bytes())
    assert (report["blocks"], report["rounds"]) == (300, 1)
    whats = [measurement["what"] for measurement in report["measurements"]]
    assert len(set(whats)) == len(whats)
    for measurement in report["measurements"]:
        assert measurement["samples"]
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(measurement["what"] + "  "))
        assert line.endswith(("holds", "missed")) == (measurement["goal"] is not None)
    chat = report["chat"]
    assert [len(chat[name]) for name in ("tokens", "written", "snapshots")] == [2, 2, 2]
    assert chat["tokens"] == sorted(chat["tokens"])
    # Two turns save little: a target that is missed is printed, and is no failure.
    assert "missed" in done.stdout
    assert drawing.read_text().rstrip().endswith("</svg>")


def test_the_same_figures_are_drawn_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)
    chat = importlib.import_module("long_chat").ChatBytes(tokens=[200, 400], written=[5, 10], snapshots=[5, 15])
    for name in ("one.svg", "two.svg"):
        importlib.import_module("bytes_plot").draw_bytes(chat, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
