"""The scripts with which shells complete `erllama`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from erllama_cli.completion.shells import SCRIPTS

FOLDER = Path("completions")
NAMES = {"bash": "erllama.bash", "zsh": "_erllama", "fish": "erllama.fish"}


def files() -> Iterator[tuple[Path, str]]:
    """Every script under the name that its shell looks for."""
    for shell, name in NAMES.items():
        yield FOLDER / name, SCRIPTS[shell]
