from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, model_status
from conftest import Erllama

from erllama_cli.results.daemon import Installed, Uninstalled
from erllama_cli.service.file import MARK
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_FAILED, EXIT_USAGE
from erllama_daemon.messages import DaemonStatus


@pytest.fixture(autouse=True)
def manager(user_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where systemctl and launchctl, which agree to everything, write down what they are told."""
    told, folder = user_home / "told", user_home / "bin"
    folder.mkdir()
    for program in ("systemctl", "launchctl"):
        path = folder / program
        path.write_text(f'#!/bin/sh\necho "{program} $*" >> {told}\n')
        path.chmod(0o755)
    told.touch()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(user_home))
    return told


@pytest.fixture
def no_manager(user_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(user_home / "empty"))
    monkeypatch.setenv("HOME", str(user_home))


def units() -> tuple[Path, Path]:
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "systemd" / "user"
    return folder / "erllama.service", folder / "erllama.socket"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def verified(folder: Path) -> subprocess.CompletedProcess[str]:
    """What systemd says of the units in a folder, as it would to their user."""
    runtime = folder / "runtime"
    runtime.mkdir()
    return subprocess.run(
        ["systemd-analyze", "--user", "verify", *map(str, folder.glob("erllama.*"))],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_LOG_LEVEL": "info"},
    )


def test_systemd_finds_nothing_wrong_with_the_units(run: Run) -> None:
    assert run("daemon", "install", "--systemd").exit_code == 0
    done = verified(units()[0].parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_would_find_what_is_wrong(run: Run) -> None:
    run("daemon", "install", "--systemd")
    service, _ = units()
    service.write_text(service.read_text().replace("Type=notify", "Type=notify\nRestartAlways=1"))
    assert "RestartAlways" in verified(service.parent).stderr


def test_paths_with_every_kind_of_character_reach_systemd_as_they_are(
    run: Run, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = user_home / 'py $HOME 100% "it\'s"' / "python"
    python.parent.mkdir()
    shutil.copy("/bin/true", python)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("XDG_DATA_HOME", str(user_home / 'my "data" %h $X'))
    run("daemon", "install", "--systemd")
    done = verified(units()[0].parent)
    assert (done.returncode, done.stderr) == (0, "")


def test_install_writes_the_units_and_enables_the_socket(run: Run, manager: Path) -> None:
    done = run("daemon", "install", "--systemd", "--json")
    installed = msgspec.json.decode(done.stdout, type=Installed)
    assert [file.path for file in installed.files] == [str(path) for path in units()]
    assert (installed.written, installed.active, installed.commands) == (True, True, [])
    assert lines(manager)[-2:] == ["systemctl --user daemon-reload", "systemctl --user enable --now erllama.socket"]
    service, socket = (path.read_text() for path in units())
    assert f"ExecStart={sys.executable} -P -m erllama_daemon\n" in service
    assert "Type=notify\n" in service
    assert f"Environment=XDG_DATA_HOME={os.environ['XDG_DATA_HOME']}\n" in service
    assert f"ListenStream={user_directories().socket}\n" in socket
    assert "SocketMode=0600\nDirectoryMode=0700\n" in socket


@pytest.mark.usefixtures("no_manager")
def test_the_socket_goes_by_the_managers_own_name_where_that_is_where_it_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    done = run("daemon", "install", "--systemd", "--print")
    assert "ListenStream=%t/erllama/daemon.sock\n" in done.stdout
    assert "XDG_RUNTIME_DIR" not in done.stdout


@pytest.mark.usefixtures("no_manager")
def test_a_socket_of_ones_own_is_listened_at(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERLLAMA_SOCKET", "/tmp/100%/own.sock")
    assert "ListenStream=/tmp/100%%/own.sock\n" in run("daemon", "install", "--systemd", "--print").stdout


@pytest.mark.usefixtures("no_manager")
def test_the_daemon_has_time_to_save_what_the_configuration_allows(run: Run) -> None:
    user_directories().config.mkdir()
    user_directories().config_file.write_text("[models.demo.policy]\nevict_save_timeout_ms = 90500\n")
    done = run("daemon", "install", "--systemd", "--print")
    assert "TimeoutStopSec=121s\n" in done.stdout


def test_print_and_dry_run_write_nothing_and_tell_nobody(run: Run, manager: Path) -> None:
    for option in ("--print", "--dry-run"):
        assert run("daemon", "install", "--systemd", option).exit_code == 0
    assert not units()[0].parent.exists()
    assert lines(manager) == []
    assert f"would be written: {units()[0]}\n" in run("daemon", "install", "--systemd", "--dry-run").stdout


@pytest.mark.usefixtures("no_manager")
def test_without_a_manager_it_says_what_to_type(run: Run) -> None:
    done = run("daemon", "install", "--systemd")
    assert done.exit_code == 0
    assert units()[0].is_file()
    assert done.stdout.endswith("  systemctl --user daemon-reload\n  systemctl --user enable --now erllama.socket\n")


def test_a_manager_that_refuses_is_quoted(run: Run, manager: Path) -> None:
    program = manager.parent / "bin" / "systemctl"
    program.write_text('#!/bin/sh\ncase "$*" in *enable*) echo "Access denied." >&2; exit 1;; esac\n')
    done = run("daemon", "install", "--systemd")
    assert done.exit_code == EXIT_FAILED
    assert "systemctl --user enable --now erllama.socket failed: Access denied.\n" in done.stderr


@pytest.mark.parametrize("file", [0, 1])
def test_a_file_of_somebody_else_is_neither_written_over_nor_removed(run: Run, file: int) -> None:
    foreign = units()[file]
    foreign.parent.mkdir(parents=True)
    foreign.write_text("[Unit]\n")
    done = run("daemon", "install", "--systemd")
    assert done.exit_code == EXIT_FAILED
    assert str(foreign) in done.stderr
    assert "--force" in done.stderr
    assert (foreign.read_text(), units()[1 - file].exists()) == ("[Unit]\n", False)
    done = run("daemon", "uninstall", "--systemd")
    assert (done.exit_code, foreign.read_text()) == (0, "[Unit]\n")
    assert f"erllama did not write it: {foreign}\n" in done.stdout
    assert run("daemon", "install", "--systemd", "--force").exit_code == 0
    assert MARK in foreign.read_text()


def test_a_link_that_leads_nowhere_is_somebody_elses(run: Run) -> None:
    service, _ = units()
    service.parent.mkdir(parents=True)
    service.symlink_to("/dev/null/gone")
    assert run("daemon", "install", "--systemd").exit_code == EXIT_FAILED
    assert service.is_symlink()


def test_a_folder_that_cannot_be_written_to_is_named(run: Run) -> None:
    folder = units()[0].parent
    folder.parent.mkdir(parents=True)
    folder.write_text("no folder")
    done = run("daemon", "install", "--systemd")
    assert done.exit_code == EXIT_FAILED
    assert f"{units()[0]} cannot be written" in done.stderr


def test_an_invalid_configuration_is_no_service(run: Run) -> None:
    user_directories().config.mkdir()
    user_directories().config_file.write_text("[cache]\nram = 1\n")
    assert run("daemon", "install", "--systemd").exit_code == EXIT_USAGE
    assert not units()[0].exists()


def test_install_again_brings_the_files_up_to_date(run: Run) -> None:
    run("daemon", "install", "--systemd")
    service, _ = units()
    fresh = service.read_text()
    service.write_text(fresh.replace("notify", "simple"))
    assert run("daemon", "install", "--systemd", "-q").stdout == ""
    assert service.read_text() == fresh
    assert [path.name for path in service.parent.iterdir()].count("erllama.service") == 1
    assert len(list(service.parent.iterdir())) == 2


def test_uninstall_ends_the_service_and_removes_what_was_installed(run: Run, manager: Path) -> None:
    run("daemon", "install", "--systemd")
    link = units()[0].parent / "sockets.target.wants" / "erllama.socket"
    link.parent.mkdir()
    link.symlink_to(units()[1])
    assert run("daemon", "uninstall", "--systemd", "--dry-run").stdout.startswith("would be removed: ")
    manager.write_text("")
    done = run("daemon", "uninstall", "--systemd", "--json")
    uninstalled = msgspec.json.decode(done.stdout, type=Uninstalled)
    assert uninstalled.files == [str(path) for path in units()]
    assert uninstalled.removed
    assert not [path for path in (*units(), link) if os.path.lexists(path)]
    assert lines(manager) == [
        "systemctl --user show-environment",
        "systemctl --user disable --now erllama.socket",
        "systemctl --user disable --now erllama.service",
        "systemctl --user daemon-reload",
    ]
    assert run("daemon", "uninstall", "--systemd").stdout == "not installed\n"


def status(fake: FakeDaemon, **settings: object) -> DaemonStatus:
    base = DaemonStatus(running=True, socket=str(fake.socket), version="0", started_by="command")
    return msgspec.structs.replace(base, **settings)


def test_a_daemon_that_a_command_started_gives_way_to_the_service(run: Run, manager: Path, fake: FakeDaemon) -> None:
    fake.status = status(fake)
    assert run("daemon", "install", "--systemd").exit_code == 0
    assert fake.stopped.is_set()
    assert "enable --now erllama.socket" in lines(manager)[-1]


def test_a_busy_daemon_does_not(run: Run, manager: Path, fake: FakeDaemon) -> None:
    fake.status = status(fake, models=[model_status()])
    done = run("daemon", "install", "--systemd")
    assert done.exit_code == 0
    assert not fake.stopped.is_set()
    assert "enable" not in manager.read_text()
    assert "  erllama daemon stop\n" in done.stdout


def test_the_services_own_daemon_stays(run: Run, fake: FakeDaemon) -> None:
    fake.status = status(fake, started_by="systemd")
    run("daemon", "install", "--systemd")
    assert not fake.stopped.is_set()


def test_the_agent_of_launchd_is_a_property_list(run: Run, manager: Path, user_home: Path) -> None:
    path = user_home / "Library" / "LaunchAgents" / "erllama.daemon.plist"
    assert run("daemon", "install", "--launchd").exit_code == 0
    agent = plistlib.loads(path.read_bytes())
    assert agent["Label"] == path.stem
    assert agent["ProgramArguments"][:4] == [sys.executable, "-P", "-m", "erllama_daemon"]
    assert agent["EnvironmentVariables"]["XDG_DATA_HOME"] == os.environ["XDG_DATA_HOME"]
    assert agent["StandardErrorPath"] == str(user_directories().daemon_log)
    assert (agent["Umask"], agent["KeepAlive"]) == (0o077, {"SuccessfulExit": False})
    assert lines(manager)[-1] == f"launchctl bootstrap gui/{os.getuid()} {path}"
    assert plistlib.loads(run("daemon", "install", "--launchd", "--print").stdout.encode()) == agent
    assert run("daemon", "uninstall", "--launchd").exit_code == 0
    assert not path.exists()
    assert lines(manager)[-1] == f"launchctl bootout gui/{os.getuid()}/erllama.daemon"


def test_what_the_units_say_answers_the_first_command(run: Run, erllama: Erllama) -> None:
    run("daemon", "install", "--systemd")
    said = [line.partition("=") for unit in units() for line in lines(unit)]
    (listen,) = [value for name, _, value in said if name == "ListenStream"]
    (command,) = [value for name, _, value in said if name == "ExecStart"]
    variables = [f"--setenv={value}" for name, _, value in said if name == "Environment"]
    Path(listen).parent.mkdir(mode=0o700)
    passed = [f"--setenv={name}" for name in ("PYTHONPATH", "OMP_WAIT_POLICY") if name in os.environ]
    service = subprocess.Popen(
        ["systemd-socket-activate", f"--listen={listen}", *variables, *passed, *command.split()],  # noqa: S607
        stderr=subprocess.PIPE,
    )
    try:
        assert service.stderr is not None
        assert b"Listening on" in service.stderr.readline()
        done = erllama("run", "demo", "Hello", "-n", "2", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        status = msgspec.json.decode(erllama("daemon", "status", "--json").stdout, type=DaemonStatus)
        assert (status.pid, status.socket) == (service.pid, str(user_directories().socket))
        assert user_directories().sessions.is_file()
        service.terminate()
        service.communicate(timeout=60)
        assert service.returncode == 0
    finally:
        service.kill()
        service.communicate()


def test_a_service_may_open_sockets_on_tcp_only_if_it_is_to_listen_there(run: Run) -> None:
    plain = run("daemon", "install", "--systemd", "--print").stdout
    assert "RestrictAddressFamilies=AF_UNIX AF_NETLINK\n" in plain
    assert run("config", "set", "daemon.http", "127.0.0.1:8080", "-q").exit_code == 0
    on_tcp = run("daemon", "install", "--systemd", "--print").stdout
    assert "RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6\n" in on_tcp
