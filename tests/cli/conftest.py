"""What the tests of the command line share: a scripted daemon and a way to run commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cli.fake_daemon import FakeDaemon, Running
from cli.terminal import Terminal
from typer.testing import CliRunner, Result

from erllama_cli.main import app
from erllama_daemon.directories import user_directories

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Runs a command in this process: `run("run", "demo", stdin="…")`."""

    def _run(*arguments: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(app, arguments, input=stdin, prog_name="erllama")

    return _run


@pytest.fixture
def fake() -> Iterator[FakeDaemon]:
    """A daemon that answers what the test scripts."""
    with Running(user_directories().socket) as running:
        yield running


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """The terminals that a test opens are closed after it."""
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()
