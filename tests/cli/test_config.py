"""What the configuration changes for commands, and what they say of one that is not valid."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer
from conftest import Erllama

from erllama_cache.stats import StoreStats
from erllama_cli.client import Client
from erllama_cli.daemon.replacement import restart_daemon
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_USAGE, RequestInvalid
from erllama_daemon.messages import DaemonStatus, Quotas


def configure(text: str) -> Path:
    file = user_directories().config_file
    file.parent.mkdir()
    file.write_text(text)
    return file


def shown_stats(run: Run) -> StoreStats:
    return msgspec.json.decode(run("cache", "stats", "--json").stdout, type=StoreStats)


def test_stats_show_the_quotas_of_the_configuration(run: Run) -> None:
    configure('[cache]\nram_bytes = "1 MiB"\ndisk_bytes = 2\nwrite_bytes_per_day = 3')
    shown = shown_stats(run)
    assert (shown.tiers.ram.quota_bytes, shown.tiers.disk.quota_bytes, shown.write_bytes_per_day) == (1 << 20, 2, 3)


def test_stats_show_the_quotas_that_a_daemon_keeps(run: Run, fake: FakeDaemon) -> None:
    configure("cache.ram_bytes = 1")
    fake.quotas = Quotas(ram_bytes=4, disk_bytes=5)
    shown = shown_stats(run)
    assert (shown.tiers.ram.quota_bytes, shown.tiers.disk.quota_bytes, shown.write_bytes_per_day) == (4, 5, None)


@pytest.mark.parametrize("command", [("run", "demo", "Who?"), ("load", "demo"), ("cache", "stats")])
def test_a_configuration_that_is_not_valid_is_named_and_no_daemon_starts(
    run: Run, user_home: Path, command: tuple[str, ...]
) -> None:
    file = configure("[cache]\ndisk_bites = 1")
    before = sorted(user_home.rglob("*"))
    done = run(*command, "--json")
    assert done.exit_code == EXIT_USAGE
    error = msgspec.json.decode(done.stdout)["error"]
    assert error["code"] == "config_invalid"
    wrong = "line 2: cache.disk_bites: there is no such key; the nearest is cache.disk_bytes."
    assert error["message"] == f"The configuration {file} is not valid: {wrong}"
    assert sorted(user_home.rglob("*")) == before


def test_a_running_daemon_is_used_whatever_has_become_of_the_configuration(run: Run, fake: FakeDaemon) -> None:
    configure("[cache")
    fake.answers.append(answer("I."))
    assert run("run", "demo", "Who?").stdout == "I.\n"


def test_the_daemon_itself_names_the_line(erllama: Erllama) -> None:
    configure("[policy]\nmin_tokens = \n")
    done = erllama("daemon", "run")
    assert (done.returncode, done.stdout) == (EXIT_USAGE, "")
    assert done.stderr.startswith("erllama: The configuration ")
    assert "not valid: line 2" in done.stderr


def test_a_daemon_has_what_it_was_started_with_and_show_tells_the_difference(
    erllama: Erllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(user_directories())
    with monkeypatch.context() as patch:
        patch.setenv("ERLLAMA_LOAD_PARALLEL", "2")
        daemon = erllama.start("daemon", "run", "--set", "load.ctx=512", "--set=cache.ram_bytes=1 MiB")
    try:
        while not client.answers():
            assert daemon.poll() is None
            time.sleep(0.01)
        had = {setting.key: (setting.value, setting.origin) for setting in client.settings().settings}
        assert had["load.ctx"] == (512, "option")
        assert had["load.parallel"] == (2, "environment")
        assert had["load.threads"] == (None, "default")
        status = client.status()
        assert status is not None
        assert status.quotas is not None
        assert status.quotas.ram_bytes == 1 << 20
        shown = erllama("config", "show").stdout
        assert "After a restart: the daemon that runs has 512 (option)." in shown
        assert erllama("config", "set", "load.threads", "1").stderr == ""
        assert {each.key: each.value for each in client.settings().settings}["load.threads"] == 1
        done = erllama("config", "set", "load.ctx", "600")
        assert done.stderr == "The daemon that runs takes it after: erllama daemon restart\n"
        done = erllama("daemon", "start", "--set", "load.ctx=7")
        assert (done.returncode, "already listens" in done.stderr) == (1, True)
    finally:
        daemon.terminate()
        daemon.communicate(timeout=60)


def test_a_wrong_option_of_the_daemon_is_named(erllama: Erllama) -> None:
    done = erllama("daemon", "run", "--set", "load.ctx=all")
    assert done.returncode == EXIT_USAGE
    assert '--set load.ctx takes a whole number from 1 to 16777216, such as 8192, not "all"' in done.stderr


def test_start_and_restart_hand_on_what_is_set(erllama: Erllama) -> None:
    client = Client(user_directories())

    def context() -> tuple[object, str]:
        return next((each.value, each.origin) for each in client.settings().settings if each.key == "load.ctx")

    assert erllama("daemon", "start", "--set", "load.ctx=7").returncode == 0
    assert context() == (7, "option")
    done = erllama("daemon", "restart", "--set", "load.ctx=none")
    assert (done.returncode, "--set load.ctx takes" in done.stderr) == (EXIT_USAGE, True)
    assert context() == (7, "option")
    assert erllama("daemon", "restart", "--set", "load.ctx=8").returncode == 0
    assert context() == (8, "option")
    assert "as before: load.ctx=8\n" in erllama("daemon", "restart").stdout
    assert context() == (8, "option")


def test_a_daemon_of_systemd_cannot_be_started_with_options() -> None:
    directories = user_directories()
    status = DaemonStatus(running=True, socket=str(directories.socket), started_by="systemd")
    with pytest.raises(RequestInvalid, match="systemd starts this daemon"):
        restart_daemon(Client(directories), directories, status, ["load.ctx=1"])
