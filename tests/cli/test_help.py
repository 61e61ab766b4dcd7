from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from keyword import iskeyword

import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer

from erllama_cli.commands import ERLLAMA, Group

HEAVY = ["llama_cpp", "uvicorn", "starlette", "httpx", "numpy", "jinja2", "rich"]
INTERACTIVE = ["prompt_toolkit", "markdown_it", "pygments", "rich", "sqlite3", "erllama_cli.talk.loop"]

COMMANDS = [
    [],
    ["run"],
    ["chat"],
    ["tokenize"],
    ["detokenize"],
    ["render"],
    ["embed"],
    ["load"],
    ["unload"],
    ["ps"],
    ["adapter"],
    ["adapter", "load"],
    ["adapter", "unload"],
    ["adapter", "scale"],
    ["adapter", "ls"],
    ["cache"],
    ["cache", "stats"],
    ["cache", "ls"],
    ["cache", "tree"],
    *(["cache", name] for name in ("evict", "clear", "gc", "verify", "pin", "unpin", "export", "import")),
    ["cache", "explain"],
    ["cache", "warm"],
    ["sessions"],
    *(["sessions", name] for name in ("ls", "show", "rm", "rename", "fork", "export", "import")),
    ["daemon"],
    ["daemon", "status"],
    ["daemon", "stop"],
    ["daemon", "run"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(run: Run, command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.exit_code == 0
    assert " ".join(["  erllama", *command]) in done.stdout.partition("Examples:")[2]


def test_version(run: Run) -> None:
    assert run("--version").stdout.startswith("erllama ")


@pytest.mark.parametrize(
    "arguments",
    [
        "['--help']",
        *(f"['cache', '{name}']" for name in ("stats", "ls", "tree", "clear", "verify")),
        "['daemon', 'status']",
        *(f"['sessions', {arguments}]" for arguments in ("'ls'", "'show', 'x'", "'export', '--all'", "'rm', 'x'")),
        "['ps']",
    ],
)
def test_no_heavy_module_is_imported(arguments: str) -> None:
    program = f"""
import sys
sys.argv = ['erllama', *{arguments}]
from erllama_cli.main import main
try:
    main()
except SystemExit:
    pass
print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def imported_by(*arguments: str) -> set[str]:
    """The modules that are there once the command with these arguments has ended."""
    program = f"""
import atexit, sys
sys.argv = ['erllama', *{arguments}]
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from erllama_cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_the_version_imports_nothing() -> None:
    assert not {"typer", "re", "enum", "msgspec", "erllama_cli.command"} & imported_by("--version")


@pytest.mark.parametrize("command", [["run", "demo", "Why?"], ["chat", "demo"]], ids=" ".join)
def test_an_answer_in_a_pipe_imports_nothing_that_draws_or_edits(fake: FakeDaemon, command: list[str]) -> None:
    fake.answers = [answer("**Because.**")]
    program = f"""
import atexit, sys
sys.argv = ['erllama', *{command}]
atexit.register(lambda: print([name for name in {INTERACTIVE} if name in sys.modules], file=sys.stderr))
from erllama_cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], input=b"Why?", capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"**Because.**\n", b"[]\n")


def test_only_the_command_that_is_typed_is_imported() -> None:
    imported = imported_by("cache", "stats")
    assert "erllama_cli.cache.stats" in imported
    assert not {"erllama_cli.chat", "erllama_cli.adapter", "erllama_cli.cache.tree"} & imported


@pytest.mark.parametrize("group", [[], ["cache"], ["sessions"], ["daemon"]], ids=" ".join)
def test_the_help_of_a_group_imports_no_command(group: list[str]) -> None:
    imported = imported_by(*group, "--help")
    assert not {"msgspec", "http.client", "erllama_cli.client"} & imported


def summaries(group: Group, package: str) -> Iterator[tuple[str, str]]:
    for name, command in group.commands.items():
        if isinstance(command, Group):
            yield from summaries(command, f"{package}.{name}")
        else:
            yield f"{package}.{name}", command


@pytest.mark.parametrize(("name", "summary"), [*summaries(ERLLAMA, "erllama_cli")])
def test_a_summary_is_what_the_command_says_of_itself(name: str, summary: str) -> None:
    function = name.rpartition(".")[2]
    if iskeyword(function):
        name, function = f"{name}_", f"{function}_"
    documentation = inspect.getdoc(getattr(import_module(name), function)) or ""
    assert " ".join(documentation.partition("\n\n")[0].split()) == summary
