"""The configuration: whether all of it is understood."""

from __future__ import annotations

from collections.abc import Iterator

from erllama_cli.results.doctor import Check
from erllama_daemon.config import read_config
from erllama_daemon.directories import Directories


def examine(directories: Directories) -> Iterator[Check]:
    """The file, if there is one. Raises ConfigInvalid."""
    read_config(directories.config_file)
    is_there = directories.config_file.exists()
    yield Check("configuration", "ok", str(directories.config_file) if is_there else "no file: the defaults are used")
