from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon

from erllama_cli import launcher
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_UNREACHABLE, DaemonUnreachable


def test_status_of_no_daemon_starts_none_and_creates_nothing(run: Run, user_home: Path) -> None:
    done = run("daemon", "status")
    assert (done.exit_code, done.stdout) == (EXIT_UNREACHABLE, "not running\n")
    done = run("daemon", "status", "--json")
    assert (done.exit_code, msgspec.json.decode(done.stdout)["running"]) == (EXIT_UNREACHABLE, False)
    assert not list(user_home.rglob("erllama"))


def test_a_socket_nobody_listens_at_is_no_daemon(run: Run, fake: FakeDaemon) -> None:
    assert run("daemon", "status").exit_code == 0
    fake.socket.unlink()
    assert run("daemon", "status").exit_code == EXIT_UNREACHABLE


def test_status_is_shown(run: Run, fake: FakeDaemon) -> None:
    done = run("daemon", "status")
    assert "up for   1 min\n" in done.stdout
    assert f"socket   {fake.socket}\n" in done.stdout


def test_stop_waits_for_the_end(run: Run, fake: FakeDaemon) -> None:
    done = run("daemon", "stop")
    assert (done.exit_code, done.stdout, fake.stopped.is_set()) == (0, "stopped\n", True)
    done = run("daemon", "stop", "--json")
    assert msgspec.json.decode(done.stdout) == {"stopped": False, "pid": None}


def test_a_path_too_long_for_a_socket_is_named(run: Run, user_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = user_home / ("d" * 90)
    deep.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    done = run("run", "demo", "Why?")
    assert done.exit_code == EXIT_UNREACHABLE
    assert "XDG_RUNTIME_DIR" in done.stderr


def test_a_daemon_that_ends_at_once_leaves_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    directories = user_directories()
    monkeypatch.setattr(
        launcher, "DAEMON_COMMAND", ("sh", "-c", "echo first; echo 'erllama: no room left.' >&2; exit 1")
    )
    with pytest.raises(DaemonUnreachable, match=r"daemon\.sock: no room left\.$") as caught:
        launcher.running_daemon(directories)
    assert str(directories.daemon_log) in (caught.value.hint or "")
    assert stat.S_IMODE(directories.daemon_log.stat().st_mode) == 0o600
    assert stat.S_IMODE(directories.runtime.stat().st_mode) == 0o700
