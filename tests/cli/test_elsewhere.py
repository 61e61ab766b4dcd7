"""A daemon at another socket: one that systemd made, and one that ERLLAMA_SOCKET names, on another machine perhaps."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, Running, answer
from conftest import XDG, Erllama

from erllama_cli.client import Client
from erllama_cli.launcher import running_daemon
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_MODEL, EXIT_UNREACHABLE, EXIT_USAGE, DaemonStopping
from erllama_daemon.messages import DaemonStatus, Failure, RemoteError, SessionList

DAEMON = (sys.executable, "-P", "-m", "erllama_daemon")


@contextmanager
def relayed(near: Path, far: Path) -> Iterator[None]:
    """What comes to one socket goes to the other and back, as `ssh -L` does it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(os.fspath(near))
    listener.listen()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        while True:
            here, _ = listener.accept()
            if accepting.is_set():
                here.close()
                return
            there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with suppress(OSError):
                there.connect(os.fspath(far))
            both = [threading.Thread(target=pump, args=pair) for pair in ((here, there), (there, here))]
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
            here.close()
            there.close()

    accepting = threading.Event()
    server = threading.Thread(target=serve)
    server.start()
    try:
        yield
    finally:
        accepting.set()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
            last.connect(os.fspath(near))
        server.join()
        listener.close()
        near.unlink()


@contextmanager
def far_daemon(home: Path) -> Iterator[Path]:
    """A second daemon with folders of its own, as on another machine; gives its socket."""
    environment = dict(os.environ)
    for name in XDG:
        folder = home / "far" / name[4:7].lower()
        folder.mkdir(mode=0o700, parents=True)
        environment[name] = str(folder)
    with suppress(KeyError):
        del environment["ERLLAMA_SOCKET"]
    process = subprocess.Popen(DAEMON, env=environment, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        assert b"daemon started" in process.stderr.readline()
        yield Path(environment["XDG_RUNTIME_DIR"]) / "erllama" / "daemon.sock"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_socket_that_is_forwarded_gives_the_other_machines_models_to_commands_here(
    erllama: Erllama, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = user_home / "e.sock"
    with far_daemon(user_home) as far, relayed(near, far):
        monkeypatch.setenv("ERLLAMA_SOCKET", str(near))
        done = erllama("run", "demo", "Hello", "-n", "2", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        assert msgspec.json.decode(done.stdout)["completion_tokens"] == 2
        status = msgspec.json.decode(erllama("daemon", "status", "--json").stdout, type=DaemonStatus)
        assert (status.socket, status.started_by, status.log) == (str(far), "foreground", None)
        assert [model.id for model in status.models] == ["demo"]
        missing = erllama("run", "models/of/there.gguf", "Hello")
        assert (missing.returncode, "models/of/there.gguf" in missing.stderr) == (EXIT_MODEL, True)
        assert erllama("daemon", "stop").stdout == "stopped\n"
    assert not list(user_home.glob("*/erllama"))


def test_nobody_at_the_socket_that_the_environment_names_is_told_and_no_daemon_is_started(
    run: Run, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERLLAMA_SOCKET", str(user_home / "e.sock"))
    before = sorted(user_home.rglob("*"))
    done = run("run", "demo", "Hello")
    assert done.exit_code == EXIT_UNREACHABLE
    assert "e.sock, where ERLLAMA_SOCKET points: nobody listens.\n" in done.stderr
    assert "unset ERLLAMA_SOCKET" in done.stderr
    assert sorted(user_home.rglob("*")) == before


def test_paths_go_to_a_daemon_elsewhere_as_they_were_written(
    run: Run, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERLLAMA_SOCKET", str(user_home / "e.sock"))
    with Running(user_home / "e.sock") as fake:
        fake.answers.append(answer("I."))
        done = run("run", "/only/there.gguf", "Who?", "--adapter", "/only/there.lora=0.5")
        assert (done.exit_code, done.stdout) == (0, "I.\n")
        (request,) = fake.asked
        assert (request.model, request.adapters[0].path, request.adapters[0].scale) == (
            "/only/there.gguf",
            "/only/there.lora",
            0.5,
        )


@pytest.mark.parametrize("command", [("ls",), ("stats",), ("clear",), ("gc",), ("verify",), ("tree",)])
def test_the_cache_here_is_not_taken_for_the_one_of_a_daemon_elsewhere(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ERLLAMA_SOCKET", "/nowhere/e.sock")
    done = run("cache", *command, "--json")
    error = msgspec.json.decode(done.stdout)["error"]
    assert (done.exit_code, error["code"]) == (EXIT_USAGE, "cache_elsewhere")


def test_a_daemon_that_is_stopping_is_replaced_and_the_next_one_asked(fake: FakeDaemon) -> None:
    fake.refusal = (503, Failure.of(DaemonStopping()))
    revived = list[bool]()

    def revive() -> None:
        revived.append(True)
        fake.refusal = None if len(revived) < 2 else fake.refusal

    client = Client(user_directories(), revive)
    fake.listed = SessionList([])
    assert client.sessions() == []
    assert revived == [True]
    fake.refusal = (503, Failure.of(DaemonStopping()))
    with pytest.raises(RemoteError, match="is stopping"):
        client.sessions()
    assert revived == [True, True]


def test_a_daemon_that_left_after_it_was_found_is_started_again(
    fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.listed = SessionList([])
    directories = user_directories()
    client = running_daemon(directories)
    hidden = fake.socket.with_name("hidden")
    fake.socket.rename(hidden)
    started = list[bool]()

    def start(_directories: object, _settings: object = ()) -> bool:
        started.append(True)
        hidden.rename(fake.socket)
        return True

    monkeypatch.setattr("erllama_cli.launcher.start_daemon", start)
    assert client.sessions() == []
    assert started == [True]


def test_a_daemon_serves_the_socket_that_systemd_made_and_leaves_it_there(erllama: Erllama, user_home: Path) -> None:
    program = shutil.which("systemd-socket-activate")
    assert program is not None, "systemd-socket-activate is missing: it is in Debian's systemd"
    folder = user_directories().runtime
    folder.mkdir(mode=0o700)
    passed = [f"--setenv={name}" for name in (*XDG, "PATH", "PYTHONPATH") if name in os.environ]
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(os.fspath(user_home / "notify"))
    notified.settimeout(60)
    process = subprocess.Popen(
        [program, f"--listen={folder}/daemon.sock", *passed, f"--setenv=NOTIFY_SOCKET={user_home}/notify", *DAEMON],
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        assert b"Listening on" in process.stderr.readline()
        client = Client(user_directories())
        status = client.status()
        assert status is not None
        assert (status.pid, status.started_by, status.socket) == (process.pid, "systemd", f"{folder}/daemon.sock")
        assert notified.recv(999) == b"READY=1"
        stopping = erllama.start("daemon", "stop")
        assert notified.recv(999).startswith(b"STOPPING=1\n")
        process.communicate(timeout=60)
        assert process.returncode == 0
        assert (stopping.communicate(timeout=60), stopping.returncode) == ((b"stopped\n", b""), 0)
        assert (folder / "daemon.sock").is_socket()
    finally:
        process.kill()
        process.communicate()
        notified.close()
