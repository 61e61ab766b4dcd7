"""Every transcript in the tour and in README shows what happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from transcripts import BLOCK, fresh_home, run, steps

ROOT = Path(__file__).parent.parent.parent
PAGES = ("README.md", "docs/tour.md")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_what_happens(name: str) -> None:
    page = (ROOT / name).read_text()
    assert BLOCK.search(page)
    with fresh_home([ROOT / "LICENSE"]) as (home, folder):
        told = run(page, home, folder)
    for shown, happened in zip(steps(page), told, strict=True):
        for one, other in zip(shown, happened, strict=True):
            assert one.comparable == other.comparable, (one, other)
