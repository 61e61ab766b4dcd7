"""A writer that is killed, at any moment, costs nothing that was acknowledged."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cache.doomed import BEFORE, CHAIN, FULL, LOAD_QUOTA, PINNED, QUOTA, SAVERS, saved_by
from cache.inspection import by_key, check_after_death

from erllama_cache.block import Block
from erllama_cache.disk.pins import Pins

LIVES = 300
CHUNKS = 10


@contextmanager
def lives(plan: str, *arguments: str) -> Iterator[Iterator[list[str]]]:
    """What each process had acknowledged when it was killed; the next one starts when it is asked for."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "cache.doomed", plan, *arguments]
    with subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        stdin, stdout = parent.stdin, parent.stdout

        def each() -> Iterator[list[str]]:
            for line in stdout:
                yield line.split()
                stdin.write("\n")
                stdin.flush()

        yield each()
    assert parent.returncode == 0


def reports(blocks: list[Block]) -> dict[str, Block]:
    """How a process acknowledges these blocks."""
    return {f"{block.key.hex()}:{block.has_logits:d}": block for block in blocks}


def test_a_kill_at_any_call_of_a_publish_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    versions, written = by_key([*BEFORE, *CHAIN, FULL]), reports([*CHAIN, FULL])
    outcomes: list[list[str]] = []
    with lives("at-every-call", str(tmp_path)) as killed:
        for lines in killed:
            outcomes.append(lines)
            acknowledged = [written[line] for line in lines if line != "pinned"]
            held = check_after_death(tmp_path / "cache", QUOTA, versions, acknowledged)
            # The chain was just written and is in use, one block was pinned all the time.
            assert {block.key for block in acknowledged} | {PINNED.key} <= held
            assert "pinned" not in lines or FULL.key in Pins(tmp_path / "cache").all()
    assert outcomes[0] == []
    assert len(outcomes[-1]) == len(CHAIN) + 2
    assert len(outcomes) > 100  # every call of an opening, of evictions, publishes and pins


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_kill_9_under_load_loses_nothing_acknowledged(tmp_path: Path, chunk: int) -> None:
    versions: dict[bytes, list[Block]] = {}
    acknowledged: list[Block] = []
    with lives("under-load", str(tmp_path), str(chunk), str(LIVES // CHUNKS)) as killed:
        for life, lines in enumerate(killed):
            blocks = [block for saver in range(SAVERS) for block in saved_by(life, saver)]
            versions |= by_key(blocks)
            acknowledged += map(reports(blocks).__getitem__, lines)
            held = check_after_death(tmp_path / "cache", LOAD_QUOTA, versions, acknowledged)
            assert held
            acknowledged = [block for block in acknowledged if block.key in held]
