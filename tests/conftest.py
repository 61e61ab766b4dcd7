"""Every test has folders of its own, and no daemon of a test outlives it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from cli.terminal import Terminal
from hypothesis import settings

# The same examples everywhere, and no judging of the clock.
settings.register_profile("erllama", derandomize=True, deadline=None, database=None)
settings.load_profile("erllama")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.parent.name != "e2e")


XDG = ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME")

STORES = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LLAMA_CACHE")
"""What says where other programs keep their models."""


@pytest.fixture(autouse=True)
def user_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folders in a short path (a Unix socket's name has at most 107 bytes), gone after the test."""
    home = Path(tempfile.mkdtemp(prefix="erl-", dir="/tmp"))
    for name in XDG:
        folder = home / name[4:-5].lower()
        folder.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(folder))
    # The models that the developer has are no test's business.
    monkeypatch.setenv("HOME", str(home))
    for name in STORES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_MODELS", str(home / "ollama"))
    monkeypatch.setenv("COLUMNS", "100")
    # Two workers on two cores would spin on each other's time.
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    yield home
    try:
        left = end_processes(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert not left, f"still running after a daemon stop: {left}"


def processes_of(home: Path) -> list[int]:
    """The processes that run in these folders: a daemon and its workers carry the folder in their environment."""
    mark, found = str(home).encode(), []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if mark in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def kill_processes(home: Path) -> None:
    """`kill -9` of the daemon and every worker; returns when they are gone."""
    while pids := processes_of(home):
        kill_all(pids)


def kill_all(pids: Collection[int]) -> None:
    """`kill -9` of some processes; returns when they are gone, and with them their files and sockets."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while not all(map(has_ended, pids)):
        time.sleep(0.005)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only its parent has not heard of it yet."""
    try:
        states = [stat.read_text() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return not Path(f"/proc/{pid}").exists()
    # The first thread may be a zombie while another one still has the sockets.
    return all(state.rpartition(") ")[2][:1] in "ZX" for state in states)


def end_processes(home: Path) -> list[int]:
    """Stops the daemon as a user would, then makes sure; gives the processes that had not ended by themselves."""
    if not processes_of(home):
        return []
    subprocess.run(
        [sys.executable, "-m", "erllama_cli", "daemon", "stop"], capture_output=True, timeout=60, check=False
    )
    for _ in range(100):
        if not processes_of(home):
            return []
        time.sleep(0.05)
    left = processes_of(home)
    kill_processes(home)
    return left


@dataclass(frozen=True)
class Erllama:
    """The command line as a user runs it, in a process of its own."""

    home: Path

    def __call__(self, *arguments: str, stdin: str | bytes = "") -> subprocess.CompletedProcess[str]:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [sys.executable, "-m", "erllama_cli", *arguments], input=data, capture_output=True, timeout=240, check=False
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str, stdin: IO[bytes] | int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Starts a command and goes on."""
        return subprocess.Popen(
            [sys.executable, "-m", "erllama_cli", *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def kill_everything(self) -> None:
        """`kill -9` of the daemon and its workers."""
        kill_processes(self.home)

    def processes(self) -> list[int]:
        """The daemon and its workers."""
        return processes_of(self.home)


@pytest.fixture
def erllama(user_home: Path) -> Erllama:
    """The command line, with folders of its own."""
    return Erllama(user_home)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """The terminals that a test opens are closed after it."""
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()
