"""Programs of the system that tests run: shells, and what reads manuals."""

from __future__ import annotations

import shutil

import pytest

PACKAGES = {"bash": "bash", "zsh": "zsh", "fish": "fish", "man": "man-db", "lexgrog": "man-db", "groff": "groff-base"}
"""Each with the package of Debian and Ubuntu that has it."""


def program(name: str) -> str:
    """Where it is; without it the test fails and says what to install."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed, and this test shows what it does: apt-get install {PACKAGES[name]}")
    return found
