"""docs/security.md names a test for each line of what is defended."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()
_LINK = re.compile(r"\[([^\]]*)\]\(\.\./(tests/[\w/]+\.py)\)")
_NAME = re.compile(r"`(test_\w+?)(_…)?`")


@pytest.mark.parametrize(("names", "file"), _LINK.findall(PAGE))
def test_each_test_that_is_named_is_there(names: str, file: str) -> None:
    source = (ROOT / file).read_text()
    for name, is_cut in _NAME.findall(names):
        assert re.search(rf"def {name}{'' if is_cut else '[(]'}", source), name


def test_each_line_of_what_is_defended_names_a_test() -> None:
    tables = PAGE.split("## What is defended, and by what")[1].split("## One request")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and not line.startswith("| | by")]
    assert len(rows) > 25
    assert not [row for row in rows if "../tests/" not in row]
