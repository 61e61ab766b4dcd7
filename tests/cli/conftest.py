"""What the tests of the command line share: a scripted daemon and a way to run commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cli.fake_daemon import FakeDaemon, Running
from cli.keeping_daemon import KeepingDaemon, RunningAndKeeping
from typer.testing import CliRunner, Result

from erllama_cli.command import new_app
from erllama_daemon.directories import user_directories

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Runs a command in this process: `run("run", "demo", stdin="…")`."""

    def _run(*arguments: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(new_app(), arguments, input=stdin, prog_name="erllama")

    return _run


@pytest.fixture
def fake() -> Iterator[FakeDaemon]:
    """A daemon that answers what the test scripts."""
    with Running(user_directories().socket) as running:
        yield running


@pytest.fixture
def keeping() -> Iterator[KeepingDaemon]:
    """A daemon that answers what the test scripts, and keeps the conversations."""
    with RunningAndKeeping(user_directories().socket) as running:
        yield running
