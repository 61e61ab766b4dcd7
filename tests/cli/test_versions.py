"""A daemon of another version than the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer, model_status
from cli.terminal import Terminal
from conftest import Erllama

from erllama_cli import launcher
from erllama_cli.client import Client
from erllama_cli.daemon.folders import told_elsewhere
from erllama_cli.results.daemon import Started
from erllama_cli.versions import Age, age_of
from erllama_daemon import __version__
from erllama_daemon.directories import Directories, user_directories
from erllama_daemon.errors import EXIT_UNREACHABLE, DaemonInUse, DaemonNotRunning, RequestInvalid
from erllama_daemon.messages import DaemonStatus, Failure, Reloaded, SessionList

OLD = "0.0.1"

PATCHED = (
    "import erllama_daemon; erllama_daemon.__version__ = '{version}';"
    "import sys; sys.argv[1:] = ['--in-background']; from erllama_daemon.server import main; main()"
)


@pytest.fixture
def started(fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions of the daemons that are started in the place of the scripted one, which is the next one, too."""
    versions: list[str] = []

    def start(*_: object) -> None:
        fake.be_of_version(__version__)
        fake.stopped.clear()
        fake.listen_again()
        versions.append(__version__)

    monkeypatch.setattr(launcher, "_start", start)
    return versions


def announce(cache: str, data: str) -> None:
    user_directories().version_file.write_text(f"{__version__}\n{cache}\n{data}\n")


def test_a_terminal_is_told_of_a_daemon_that_serves_other_folders(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    ours, asked = user_directories(), ("run", "demo", "Who?")
    fake.answers = [answer("I.")] * 3
    announce("/home/ann/.cache/erllama", str(ours.data))
    terminals += [Terminal(*asked, columns=200), Terminal(*asked, "-q")]
    told = [terminal.rest()[1] for terminal in terminals]
    assert "other folders than this command's: the cache in /home/ann/.cache/erllama. To have one" in told[0]
    announce(str(ours.cache), str(ours.data))
    terminals.append(Terminal(*asked))
    assert [*told[1:], terminals[2].rest()[1]] == ["I.\r\n"] * 2


def test_a_pipe_and_a_socket_that_was_named_hear_nothing_of_folders(
    run: Run, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answers = [answer("I.")] * 2
    announce("/home/ann/.cache/erllama", "/home/ann/.local/share/erllama")
    assert run("run", "demo", "Who?").stderr == ""
    monkeypatch.setenv("ERLLAMA_SOCKET", str(fake.socket))
    assert told_elsewhere(user_directories(), "/home/ann/.cache/erllama", None) is None


def test_status_says_where_the_daemon_keeps_things_and_that_it_is_elsewhere(run: Run, fake: FakeDaemon) -> None:
    fake.status = DaemonStatus(running=True, socket=str(fake.socket), pid=7, cache_directory="/home/ann/cache")
    done = run("daemon", "status")
    assert "cache    /home/ann/cache\n" in done.stdout
    assert done.stderr.startswith("the daemon serves other folders than this command's: the cache in /home/ann/cache.")


def test_versions_are_compared_as_such() -> None:
    assert [age_of(version) for version in (__version__, "0.0.9", "10.0", "0.1.0rc1", f"{__version__}.0")] == [
        Age.SAME,
        Age.OLDER,
        Age.NEWER,
        Age.OLDER,
        Age.SAME,
    ]
    assert age_of(None) is age_of("no version") is Age.OLDER


@pytest.mark.parametrize("version", [OLD, None])
def test_an_idle_daemon_of_an_earlier_version_is_replaced_and_nothing_is_said(
    run: Run, fake: FakeDaemon, started: list[str], version: str | None
) -> None:
    fake.be_of_version(version)
    fake.answers.append(answer("I."))
    done = run("run", "demo", "Who?")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "I.\n", "")
    assert started == [__version__]
    run("sessions", "ls")
    assert started == [__version__]


def test_a_daemon_of_this_version_is_not_even_asked(run: Run, fake: FakeDaemon, started: list[str]) -> None:
    fake.answers.append(answer("I."))
    assert run("run", "demo", "Who?").stdout == "I.\n"
    assert (started, fake.looked_at) == ([], 0)


def test_one_that_has_no_file_but_says_so_is_of_this_version(run: Run, fake: FakeDaemon, started: list[str]) -> None:
    fake.be_of_version(__version__, says_so_beside=False)
    fake.answers.append(answer("I."))
    assert run("run", "demo", "Who?").stdout == "I.\n"
    assert (started, fake.looked_at) == ([], 1)


@pytest.mark.parametrize(
    "change",
    [
        {"running": 1},
        {"queue_depth": 1},
        {"status": "loading"},
        {"expires_s": None},
        {"adapters": [{"handle": "00", "path": "/a.gguf", "scale": 1.0}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_model_that_somebody_uses_keeps_its_daemon(
    run: Run, fake: FakeDaemon, started: list[str], change: dict[str, object]
) -> None:
    idle = {"status": "idle", "running": 0, "queue_depth": 0}
    fake.loaded = [msgspec.convert({**msgspec.to_builtins(model_status()), **idle, **change}, type(model_status()))]
    fake.be_of_version(OLD)
    fake.answers.append(answer("I."))
    done = run("run", "demo", "Who?")
    assert (done.exit_code, done.stdout, started) == (0, "I.\n", [])
    assert not fake.stopped.is_set()


def test_a_daemon_that_says_that_it_is_in_use_stays(run: Run, fake: FakeDaemon, started: list[str]) -> None:
    fake.be_of_version(OLD)
    fake.in_use = Failure.of(DaemonInUse(why="a private conversation lives in it"))
    fake.answers.append(answer("I."))
    assert run("run", "demo", "Who?").stdout == "I.\n"
    assert started == []


@pytest.mark.parametrize("by", ["foreground", "systemd"])
def test_a_daemon_that_somebody_else_looks_after_is_not_ended_unasked(
    run: Run, fake: FakeDaemon, started: list[str], by: str
) -> None:
    fake.status = msgspec.convert({"running": True, "socket": "", "started_by": by}, DaemonStatus)
    fake.be_of_version(OLD)
    fake.answers.append(answer("I."))
    assert run("run", "demo", "Who?").stdout == "I.\n"
    assert (started, fake.stopped.is_set()) == ([], False)


def test_a_daemon_elsewhere_is_never_ended_unasked(
    run: Run, fake: FakeDaemon, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERLLAMA_SOCKET", str(fake.socket))
    fake.be_of_version(OLD)
    fake.answers.append(answer("I."))
    assert run("run", "demo", "Who?").stdout == "I.\n"
    assert (started, fake.looked_at) == ([], 0)


def test_a_daemon_that_another_command_replaces_just_now_is_followed_by_the_next(
    run: Run, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.be_of_version(OLD)
    fake.status = msgspec.convert({"running": True, "socket": "", "pid": 1, "draining": True}, DaemonStatus)

    def revive(_directories: object, _settings: object) -> None:
        fake.be_of_version(__version__)
        fake.status = msgspec.convert({"running": True, "socket": "", "pid": 2}, DaemonStatus)

    monkeypatch.setattr("erllama_cli.daemon.found.revive", revive)
    started = msgspec.json.decode(run("daemon", "start", "--json").stdout, type=Started)
    assert (started.pid, started.version) == (2, __version__)


def test_a_newer_daemon_answers_without_a_word(run: Run, fake: FakeDaemon, started: list[str]) -> None:
    fake.be_of_version("99.0")
    fake.answers.append(answer("I."))
    done = run("run", "demo", "Who?")
    assert (done.stdout, done.stderr, started) == ("I.\n", "", [])


@pytest.mark.parametrize(("version", "told"), [("99.0", "version 99.0"), (OLD, f"version {OLD}"), (None, "an earlier")])
def test_nonsense_is_explained_by_the_versions(run: Run, fake: FakeDaemon, version: str | None, told: str) -> None:
    fake.be_of_version(version)
    fake.reply = Reloaded([], [])
    fake.nonsense = SessionList([])
    done = run("ps", "--json") if version is None else run("tokenize", "demo", "Why?")
    assert done.exit_code == EXIT_UNREACHABLE
    assert told in done.stderr
    assert f"this command, of version {__version__}" in done.stderr
    assert "erllama daemon restart" in done.stderr


def test_a_request_that_an_older_daemon_does_not_know_is_explained_by_the_versions(run: Run, fake: FakeDaemon) -> None:
    fake.be_of_version("99.0")
    fake.refusal = (400, Failure.of(RequestInvalid(reason="unknown field `private`")))
    done = run("tokenize", "demo", "Why?")
    assert f"The daemon is of version 99.0, and this command of version {__version__}: that may be why." in done.stderr


@pytest.mark.parametrize("command", ["stop", "restart"])
def test_a_daemon_whose_status_makes_no_sense_can_be_stopped(
    run: Run, fake: FakeDaemon, started: list[str], command: str
) -> None:
    fake.nonsense = Reloaded([], [])
    fake.be_of_version("99.0")
    done = run("daemon", command)
    assert fake.was_stopped, done.output
    assert started == ([__version__] if command == "restart" else [])


def test_status_says_that_the_daemon_is_of_another_version(run: Run, fake: FakeDaemon) -> None:
    fake.be_of_version(OLD)
    assert f"version  {OLD}, older than this command ({__version__}): erllama daemon restart\n" in (
        run("daemon", "status").stdout
    )
    fake.be_of_version("99.0")
    assert f"version  99.0, newer than this command ({__version__})\n" in run("daemon", "status").stdout


def test_a_terminal_is_told_once_that_an_older_daemon_is_in_use_unless_it_wants_quiet(
    fake: FakeDaemon, terminals: list[Terminal]
) -> None:
    fake.be_of_version(OLD)
    fake.loaded = [model_status()]
    for quiet, count in (((), 1), (("-q",), 0)):
        fake.answers.append(answer("I."))
        terminal = Terminal("run", "demo", "Who?", *quiet, columns=200)
        terminals.append(terminal)
        code, seen = terminal.rest()
        assert (code, seen.count(f"[the daemon is of version {OLD}, and this command of version")) == (0, count)


@pytest.mark.parametrize(
    "arguments",
    [
        ["adapter", "load", "demo", "a.gguf"],
        ["adapter", "ls", "demo"],
        ["adapter", "scale", "demo", "0123", "1"],
        ["adapter", "unload", "demo", "0123"],
        ["cache", "explain", "demo", "Why?"],
        ["chat", "--continue"],
        ["detokenize", "demo", "1"],
        ["embed", "demo", "llama"],
        ["load", "demo"],
        ["render", "demo", "Why?"],
        ["run", "demo", "Why?"],
        ["sessions", "export", "--all", "--format", "md"],
        ["sessions", "ls"],
        ["sessions", "rm", "build"],
        ["tokenize", "demo", "Why?"],
    ],
    ids=" ".join,
)
def test_quiet_is_passed_on_to_what_replaces_an_older_daemon(
    run: Run, fake: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    wanted: list[bool] = []

    def asked_for(directories: Directories, *, quiet: bool) -> None:
        wanted.append(quiet)
        raise DaemonNotRunning(socket=directories.socket)

    monkeypatch.setattr("erllama_cli.daemon.replacement.replace_older", asked_for)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.gguf").touch()
    fake.be_of_version(OLD)
    assert run(*arguments, "-q").exit_code == EXIT_UNREACHABLE
    assert run(*arguments).exit_code == EXIT_UNREACHABLE
    assert wanted == [True, False]


@pytest.fixture
def old_daemon() -> Iterator[subprocess.Popen[bytes]]:
    """A real daemon that says that it is of an earlier version."""
    directories = user_directories()
    directories.log.mkdir(parents=True, mode=0o700)
    process = subprocess.Popen([sys.executable, "-P", "-c", PATCHED.format(version=OLD)])
    while not directories.version_file.exists() or not Client(directories).answers():
        assert process.poll() is None
    yield process
    process.kill()
    process.wait()


def test_many_commands_replace_a_real_daemon_once(erllama: Erllama, old_daemon: subprocess.Popen[bytes]) -> None:
    file = user_directories().version_file
    assert (file.read_text().split("\n")[0], file.stat().st_mode & 0o777) == (OLD, 0o600)
    with ThreadPoolExecutor(4) as pool:
        # The daemon is a child of this process: it has to be waited for, or it would not be gone.
        ended = pool.submit(old_daemon.wait, 60)
        done = list(pool.map(lambda _: erllama("daemon", "start", "--json"), range(3)))
        assert ended.result() == 0
    assert [each.stderr for each in done] == [""] * 3
    started = [msgspec.json.decode(each.stdout, type=Started) for each in done]
    assert {each.version for each in started} == {__version__}
    (pid,) = {each.pid for each in started}
    assert pid != old_daemon.pid
    assert file.read_text().split("\n")[0] == __version__
    client = Client(user_directories())
    client.status()
    assert client.daemon_version == __version__
    assert erllama("daemon", "stop").stdout == "stopped\n"
    assert not file.exists()
