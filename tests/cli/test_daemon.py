from __future__ import annotations

import socket
import stat
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, model_status

from erllama_cli import launcher
from erllama_cli.results.daemon import Restarted, ShownKey, Started
from erllama_daemon import __version__
from erllama_daemon.config import effective
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_UNREACHABLE, EXIT_USAGE, DaemonUnreachable
from erllama_daemon.messages import Adapter, DaemonSettings, DaemonStatus, Reloaded


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


def test_last_words_are_also_read_from_a_log_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    line = '{"time":"x","level":"critical","message":"erllama: no room left."}'
    monkeypatch.setattr(launcher, "DAEMON_COMMAND", ("sh", "-c", f"echo '{line}' >&2; exit 1"))
    with pytest.raises(DaemonUnreachable, match=r"daemon\.sock: no room left\.$"):
        launcher.running_daemon(user_directories())


@pytest.fixture
def next_daemon(fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes of the daemons that are started, which the scripted one plays, too."""
    pids: list[int] = []

    def start(*_: object) -> None:
        pids.append(GONE + 1)
        fake.status = DaemonStatus(running=True, socket=str(fake.socket), pid=pids[-1])
        fake.listen_again()

    monkeypatch.setattr(launcher, "_start", start)
    return pids


GONE = 1 << 22
"""A number that no process has: Linux gives none above it."""


def test_start_says_which_daemon_runs_and_whether_it_did(run: Run, fake: FakeDaemon, next_daemon: list[int]) -> None:
    fake.status = DaemonStatus(running=True, socket=str(fake.socket), pid=7)
    done = run("daemon", "start")
    assert (done.exit_code, done.stdout) == (0, f"runs already: process 7 at {fake.socket}\n")
    fake.hide()
    done = run("daemon", "start")
    assert done.stdout == f"started: process {next_daemon[0]} at {fake.socket}\n"
    fake.hide()
    started = msgspec.json.decode(run("daemon", "start", "--json").stdout, type=Started)
    assert (started.started, started.pid, started.version) == (True, next_daemon[1], __version__)
    assert run("daemon", "start", "-q").stdout == ""


def test_restart_saves_and_names_what_was_loaded_and_loads_nothing(
    run: Run, fake: FakeDaemon, next_daemon: list[int]
) -> None:
    adapted = msgspec.structs.replace(model_status("/models/big.gguf"), adapters=[Adapter("00", "/a.gguf", 1.0)])
    models = [model_status(), adapted]
    fake.status = DaemonStatus(running=True, socket=str(fake.socket), pid=GONE, models=models)
    done = run("daemon", "restart")
    assert (done.exit_code, fake.was_stopped) == (0, True)
    assert done.stdout.splitlines() == [
        f"stopped: process {GONE}",
        f"started: process {next_daemon[0]} at {fake.socket}",
        "demo was saved; the next request loads it",
        "big.gguf was saved; the next request loads it, and its adapters are detached",
    ]
    assert [path for path, _ in fake.calls] == []
    restarted = msgspec.json.decode(run("daemon", "restart", "--json").stdout, type=Restarted)
    assert (restarted.stopped_pid, restarted.unloaded) == (next_daemon[0], [])


def test_restart_starts_one_if_none_runs(run: Run, fake: FakeDaemon, next_daemon: list[int]) -> None:
    fake.hide()
    assert run("daemon", "restart").stdout == f"started: process {GONE + 1} at {fake.socket}\n"
    assert (len(next_daemon), fake.was_stopped) == (1, False)


def test_a_configuration_that_is_not_valid_leaves_the_daemon_that_runs(run: Run, fake: FakeDaemon) -> None:
    user_directories().config.mkdir()
    user_directories().config_file.write_text("[cache]\nram = 1\n")
    done = run("daemon", "restart")
    assert (done.exit_code, fake.was_stopped) == (EXIT_USAGE, False)
    assert "cache.ram" in done.stderr


def test_reload_says_what_is_in_force_and_what_takes_a_restart(run: Run, fake: FakeDaemon) -> None:
    fake.reply = Reloaded(["cache.ram_bytes", "daemon.idle_exit"], ["future.key"])
    assert run("daemon", "reload").stdout == (
        "in force now: cache.ram_bytes, daemon.idle_exit\nafter erllama daemon restart: future.key\n"
    )
    assert msgspec.json.decode(run("daemon", "reload", "--json").stdout, type=Reloaded) == fake.reply
    fake.reply = Reloaded([], [])
    assert run("daemon", "reload").stdout == "nothing is different\n"


def test_reload_of_no_daemon_starts_none(run: Run) -> None:
    done = run("daemon", "reload")
    assert done.exit_code == EXIT_UNREACHABLE
    assert "erllama daemon start" in done.stderr


def test_status_says_who_began_the_daemon_and_where_it_logs(run: Run, fake: FakeDaemon) -> None:
    status = DaemonStatus(running=True, socket=str(fake.socket), pid=7, started_by="command", log="/the/log")
    fake.status = msgspec.structs.replace(status, idle_exit_s=3600.0, draining=True)
    shown = run("daemon", "status").stdout
    assert "process  7, which saves what it holds and ends\n" in shown
    assert "begun by an erllama command\n" in shown
    assert "ends     when it has been idle for 1 h 0 min\n" in shown
    assert "log      /the/log\n" in shown
    fake.status = msgspec.structs.replace(status, started_by="systemd", log=None)
    assert "log      journalctl --user -u erllama\n" in run("daemon", "status").stdout


def test_the_key_is_printed_alone_and_a_new_one_takes_its_place(run: Run, user_home: Path) -> None:
    first = run("daemon", "key")
    assert (first.exit_code, run("daemon", "key").stdout, first.stderr) == (0, first.stdout, "")
    shown = msgspec.json.decode(run("daemon", "key", "--rotate", "--json").stdout, type=ShownKey)
    assert shown.rotated and f"{shown.key}\n" != first.stdout
    assert Path(shown.path).read_text() == f"{shown.key}\n" == run("daemon", "key").stdout
    assert not list(user_home.rglob("daemon.sock"))


def test_a_daemon_is_started_where_it_is_told_and_says_where_it_is(
    run: Run, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[str]] = []
    url = "http://127.0.0.1:8080"

    def start(_client: object, _directories: object, settings: list[str]) -> None:
        given.append(settings)
        fake.status = DaemonStatus(running=True, socket=str(fake.socket), pid=GONE, url=url)
        fake.listen_again()

    monkeypatch.setattr(launcher, "_start", start)
    fake.hide()
    done = run("daemon", "start", "--http", "127.0.0.1:0", "--log-prompts", "--set", "load.ctx=9")
    assert given == [["load.ctx=9", "daemon.http=127.0.0.1:0", "daemon.log_prompts=true"]]
    assert done.stdout.splitlines()[1] == f"and at {url}, for who has the key: erllama daemon key"
    assert f"http     {url}\n" in run("daemon", "status").stdout
    refused = run("daemon", "start", "--http", "127.0.0.1:0", "--log-prompts", "--set", "run.system=a b", "--json")
    error = msgspec.json.decode(refused.stdout)["error"]
    again = "erllama daemon restart --set 'run.system=a b' --http 127.0.0.1:0 --log-prompts"
    assert (error["code"], error["hint"]) == ("daemon_already_runs", f"To have it with these: {again}")


def test_a_restart_keeps_the_options_but_those_that_are_given_anew_or_configured(
    run: Run, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def start(_client: object, _directories: object, settings: list[str]) -> None:
        started.append(settings)
        fake.status = DaemonStatus(running=True, socket=str(fake.socket), pid=GONE + 1)
        fake.listen_again()

    monkeypatch.setattr(launcher, "_start", start)
    had = ("daemon.http=127.0.0.1:8080", "load.ctx=9", "load.threads=2", 'models."/a.gguf".load.ctx=7')
    file = user_directories().config_file
    fake.settings = DaemonSettings(str(file), effective(file, {}, had).rows())
    fake.status = DaemonStatus(running=True, socket=str(fake.socket), pid=GONE)
    monkeypatch.setenv("ERLLAMA_LOAD_THREADS", "3")
    done = run("daemon", "restart", "--set", "load.ctx=8")
    assert started == [["daemon.http=127.0.0.1:8080", 'models."/a.gguf".load.ctx=7', "load.ctx=8"]]
    assert done.stdout.splitlines()[2:] == [
        'as before: daemon.http=127.0.0.1:8080, models."/a.gguf".load.ctx=7',
        "no longer, for the configuration says otherwise: load.threads=2",
    ]
    fake.status = DaemonStatus(running=True, socket=str(fake.socket), pid=GONE)
    restarted = msgspec.json.decode(run("daemon", "restart", "--json").stdout, type=Restarted)
    assert (restarted.kept, restarted.left) == ([had[0], had[1], had[3]], [had[2]])


@pytest.mark.parametrize("command", ["start", "restart"])
def test_where_a_daemon_cannot_listen_is_said_before_any_is_started_or_ended(
    run: Run, fake: FakeDaemon, next_daemon: list[int], command: str
) -> None:
    if command == "start":
        fake.hide()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = run("daemon", "start", "--http", f"127.0.0.1:{taken.getsockname()[1]}", "--json")
        assert msgspec.json.decode(done.stdout)["error"]["code"] == "http_address_taken"
    done = run("daemon", command, "--http", "192.0.2.7:80", "--json")
    assert msgspec.json.decode(done.stdout)["error"]["code"] == "http_needs_tls"
    done = run("daemon", command, "--http", "8080", "--json")
    assert msgspec.json.decode(done.stdout)["error"]["code"] == "config_invalid"
    assert (next_daemon, fake.was_stopped) == ([], False)
