"""docs/seed.md names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from erllama_cache.counters import Counters
from erllama_cli.commands import ERLLAMA, Group
from erllama_daemon.messages import Stats

ROOT = Path(__file__).parent.parent
TABLES = (ROOT / "docs" / "seed.md").read_text()


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", TABLES))
    there = {
        name for file in ROOT.glob("tests/**/test_*.py") for name in re.findall(r"def (test_\w+)\(", file.read_text())
    }
    assert len(named) > 40
    assert named <= there, named - there


def test_every_row_has_a_test() -> None:
    rows = [line for line in TABLES.splitlines() if line.startswith("|") and not line.startswith(("|---", "| in the"))]
    assert len(rows) > 50
    assert [row for row in rows if "`test_" not in row] == []


def test_every_command_that_is_named_exists() -> None:
    for name, below in re.findall(r"`erllama (\w+)(?: (\w+))?", TABLES):
        command = ERLLAMA.commands[name]
        assert not (below and isinstance(command, Group)) or below in command.commands


def test_every_endpoint_that_is_named_is_documented() -> None:
    documented = (ROOT / "docs" / "http.md").read_text()
    for _method, path in re.findall(r"`(GET|POST) (/v1/[\w/]+)", TABLES):
        parent, _slash, last = path.rpartition("/")
        assert path in documented or (parent in documented and f"`{last}`" in documented), path


def test_every_statistic_of_the_original_is_there() -> None:
    originals = "prompt_tokens completion_tokens prefill_ms generation_ms cache_hit_kind finish_reason cancelled"
    assert set(originals.split()) <= set(Stats.__struct_fields__)


def test_every_counter_of_the_original_is_there() -> None:
    originals = (
        "hits_exact hits_resume hits_longest_prefix misses saves_cold saves_continued saves_finish saves_evict "
        "saves_shutdown saves_dropped pack_total_ns load_total_ns"
    )
    assert set(originals.split()) <= set(Counters.__struct_fields__)
