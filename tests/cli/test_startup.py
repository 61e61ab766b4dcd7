"""What a command imports before it answers, and how its process ends: most of what a short command takes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from cli.fake_daemon import FakeDaemon, answer

from erllama_cache.choices import KNOBS
from erllama_cache.policy import PolicyKnobs
from erllama_cli.options import DisplayOptions

NEVER = {"huggingface_hub", "llama_cpp", "prometheus_client", "uvicorn", "starlette", "httpx", "numpy", "jinja2"}
WORKING = {
    "msgspec",
    "socket",
    "http.client",
    "sqlite3",
    "filelock",
    "platformdirs",
    "erllama_cli.client",
    "erllama_cli.launcher",
    "erllama_daemon.config",
    "erllama_daemon.directories",
    "erllama_daemon.messages",
    "erllama_daemon.sessions",
}
INTERACTIVE = {"prompt_toolkit", "markdown_it", "pygments", "rich", "sqlite3", "erllama_cli.talk.loop"}
LONGER_THAN_AN_ANSWER = {"http.client", "email", "ssl", "json", "hashlib", "filelock", "tomllib"}

HELP_OF_EACH = """
import contextlib, io, json, sys
from erllama_cli.command import new_app
from erllama_cli.commands import ERLLAMA, Group

def each(group, words):
    yield words
    for name, command in group.commands.items():
        yield from each(command, [*words, name]) if isinstance(command, Group) else [[*words, name]]

heavy, imported = set(sys.argv[1:]), {}
for words in each(ERLLAMA, []):
    before = heavy & set(sys.modules)
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        new_app()([*words, "--help"], prog_name="erllama", standalone_mode=False)
    assert f"Usage: {' '.join(['erllama', *words])}" in shown.getvalue()
    if new := (heavy & set(sys.modules)) - before:
        imported[" ".join(words)] = sorted(new)
print(json.dumps(imported))
"""

RUN = """
import atexit, sys
sys.argv[0] = "erllama"
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from erllama_cli.main import main
main()
"""


def python(program: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *arguments], input=stdin, capture_output=True, text=True)


def imported_by(*arguments: str, stdin: str = "") -> set[str]:
    """The modules that are there once the command with these arguments has ended."""
    return set(python(RUN, *arguments, stdin=stdin).stderr.splitlines()[-1].split())


def test_the_version_imports_nothing() -> None:
    assert not {"typer", "re", "enum", "msgspec", "erllama_cli.command"} & imported_by("--version")


def test_a_model_is_completed_without_what_reads_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ERLLAMA_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_ERLLAMA_COMPLETE_LINE", "erllama run de")
    assert not {"msgspec", "tomllib", "erllama_daemon.config", "erllama_daemon.messages"} & imported_by()


def test_the_help_of_no_command_imports_what_does_its_work() -> None:
    done = python(HELP_OF_EACH, *NEVER, *WORKING, *INTERACTIVE)
    assert msgspec.json.decode(done.stdout or done.stderr) == {}


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    "arguments",
    [
        *(["cache", name] for name in ("stats", "ls", "tree", "clear", "verify")),
        ["daemon", "status"],
        *(["sessions", *words] for words in (["ls"], ["show", "x"], ["export", "--all"], ["rm", "x"])),
        ["ps"],
        ["models", "ls"],
    ],
    ids=" ".join,
)
def test_no_command_in_a_pipe_imports_what_answers_or_draws(arguments: Sequence[str]) -> None:
    imported = imported_by(*arguments)
    assert "erllama_cli.command" in imported
    assert not (NEVER | {"rich"}) & imported


@pytest.mark.parametrize(("command", "spared"), [("run", LONGER_THAN_AN_ANSWER), ("chat", set())])
def test_an_answer_in_a_pipe_imports_nothing_that_draws_or_edits(
    fake: FakeDaemon, command: str, spared: set[str]
) -> None:
    fake.answers = [answer("**Because.**")]
    done = python(RUN, command, "demo", stdin="Why?")
    assert done.stdout == "**Because.**\n"
    assert not (NEVER | INTERACTIVE | spared) & set(done.stderr.split())


def test_only_the_command_that_is_typed_is_imported() -> None:
    imported = imported_by("cache", "stats")
    assert "erllama_cli.cache.stats" in imported
    assert not {"erllama_cli.chat", "erllama_cli.adapter", "erllama_cli.cache.tree"} & imported


def test_a_command_that_leaves_at_once_has_written_everything_and_keeps_its_exit_code() -> None:
    done = python(
        "import sys; from erllama_cli.leaving import leave\n"
        "print('out'); print('err', end='', file=sys.stderr); leave(5); print('later')"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err", 5)


@pytest.mark.parametrize(
    "pending",
    [
        "import atexit; atexit.register(print, 'done')",
        "import threading as t; t.Thread(target=lambda: (t.main_thread().join(), print('done'))).start()",
    ],
    ids=["atexit", "thread"],
)
def test_a_command_does_not_leave_before_what_is_still_to_be_done(pending: str) -> None:
    done = python(f"import sys; from erllama_cli.leaving import leave\n{pending}\nleave(0); sys.exit(5)")
    assert (done.stdout, done.returncode) == ("done\n", 5)


def test_the_last_output_that_cannot_be_written_is_told() -> None:
    program = "from erllama_cli.leaving import leave; print('out'); leave(0)"
    with Path("/dev/full").open("w") as full:
        buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
        done = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, env=buffered)
    assert done.returncode == 1
    assert done.stderr.startswith(b"erllama: The answer cannot be written: No space left on device.\n")


def test_help_lists_the_knobs_that_there_are() -> None:
    assert PolicyKnobs.__struct_fields__ == KNOBS


def test_a_group_of_options_is_changed_only_into_another() -> None:
    loud = DisplayOptions(as_json=True)
    quiet = loud.but(quiet=True)
    assert (loud.quiet, quiet.quiet, quiet.as_json) == (False, True, True)
    with pytest.raises(AttributeError):
        loud.quiet = True  # type: ignore[misc]
