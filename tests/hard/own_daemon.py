"""A daemon with folders of its own, in a process of its own, and what it takes of the machine."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import STORES, XDG, has_ended, kill_processes

from erllama_daemon.life.origin import IN_BACKGROUND

VARIABLE = "HARD_WORKER"
"""Where `hard.daemon_with_worker` finds the words of its worker's command, as JSON."""

ERLLAMA = (sys.executable, "-m", "erllama_cli")
START_S = 60


@dataclass(frozen=True)
class Figures:
    """What a process takes: resident bytes, and open descriptors."""

    resident: int
    descriptors: int

    @property
    def mebibytes(self) -> float:
        """The resident memory."""
        return self.resident / (1 << 20)


class OwnDaemon:
    """A running daemon. `environment` is what its commands have; `url` is where it serves on TCP, and `key` opens it.

    `worker` is the program that it starts as a worker, if that is not its own.
    """

    def __init__(
        self, home: Path, settings: Sequence[str] = (), http: str | None = None, worker: Sequence[str] = ()
    ) -> None:
        self.home = home
        self.settings = settings if http is None else [*settings, f"daemon.http={http}"]
        self.worker = worker
        self.environment = {name: value for name, value in os.environ.items() if name not in STORES}
        for name in XDG:
            folder = home / name.split("_")[1].lower()
            folder.mkdir(mode=0o700, exist_ok=True)
            self.environment[name] = str(folder)
        # Two workers on two cores would spin on each other's time.
        self.environment |= {
            "HOME": str(home),
            "OLLAMA_MODELS": str(home / "ollama"),
            "OMP_WAIT_POLICY": "passive",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        self.pid = 0
        self.url: str | None = None
        self.key = ""

    def start(self) -> None:
        """Starts it; returns when it answers."""
        sets = [f"--set={setting}" for setting in self.settings]
        if self.worker:
            self._start_with_worker(sets)
        else:
            self.command("daemon", "start", *sets)
        self.read_on()

    def _start_with_worker(self, sets: Sequence[str]) -> None:
        log = self.home / "state" / "daemon.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "hard.daemon_with_worker", IN_BACKGROUND, *sets],
                env=self.environment | {VARIABLE: json.dumps(self.worker)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        # As a zombie it would pretend to run.
        threading.Thread(target=process.wait, daemon=True).start()
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.status()
            except OSError:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            else:
                return

    def read_on(self) -> None:
        """Takes over where it is."""
        status = self.status()
        self.pid = status["pid"]
        self.url = status.get("url")
        if self.url is not None:
            self.key = self.command("daemon", "key").strip()

    def stop(self) -> None:
        """Stops it as a user would; it has saved everything."""
        self.command("daemon", "stop", "--quiet")

    def restart(self) -> None:
        """Stops it and starts another one."""
        self.stop()
        self.start()

    def command(self, *words: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            [*ERLLAMA, *words], env=self.environment, capture_output=True, text=True, timeout=START_S, check=False
        )
        assert done.returncode == 0, (words, done)
        return done.stdout

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.home / "runtime" / "erllama" / "daemon.sock"

    @property
    def log(self) -> str:
        """All that it has logged."""
        return "".join(path.read_text(errors="replace") for path in sorted((self.home / "state").rglob("*.log*")))

    @property
    def figures(self) -> Figures:
        """What its process takes."""
        return figures_of(self.pid)

    def ask(self, method: str, path: str, body: object = None, timeout_s: float = 60) -> tuple[int, Any]:
        """The status and the JSON of an answer that comes over the Unix socket."""
        connection = UnixConnection(self.socket, timeout_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def status(self) -> Any:
        """What it says of itself."""
        status, found = self.ask("GET", "/v1/status")
        assert status == 200, found
        return found

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return not has_ended(self.pid)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@contextmanager
def own_daemon(
    settings: Sequence[str] = (), http: str | None = None, worker: Sequence[str] = ()
) -> Iterator[OwnDaemon]:
    """A daemon that has begun; it has ended afterwards, and its folders are gone."""
    with own_home() as home:
        daemon = OwnDaemon(home, settings, http, worker)
        daemon.start()
        yield daemon
        daemon.stop()


def end_in_order() -> None:
    """Has this process let go of what it began when it is told to end."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


@contextmanager
def own_home() -> Iterator[Path]:
    """A folder with a short name; whatever runs in it ends with it."""
    home = Path(tempfile.mkdtemp(prefix="erl-", dir="/tmp"))
    try:
        yield home
    finally:
        kill_processes(home)
        shutil.rmtree(home, ignore_errors=True)


def figures_of(pid: int) -> Figures:
    """What a process takes now."""
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text().split()[1])
    return Figures(pages * os.sysconf("SC_PAGE_SIZE"), len(list((process / "fd").iterdir())))
