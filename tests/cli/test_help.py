from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from keyword import iskeyword

import pytest
from cli.conftest import Run

from erllama_cli.commands import ERLLAMA, Group, each_command
from erllama_cli.habits import ELSEWHERE
from erllama_daemon.errors import EXIT_USAGE

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
    *(["daemon", name] for name in ("start", "status", "stop", "restart", "reload", "logs", "run")),
    *(["daemon", name] for name in ("install", "uninstall")),
    ["doctor"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(run: Run, command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.exit_code == 0
    assert " ".join(["  erllama", *command]) in done.stdout.partition("Examples:")[2]


@pytest.mark.parametrize(
    "command", [[], *([name] for name, each in ERLLAMA.commands.items() if isinstance(each, Group))]
)
def test_the_help_of_a_group_has_a_line_for_each_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    group = ERLLAMA.commands[command[0]] if command else ERLLAMA
    assert isinstance(group, Group)
    listed = run(*command, "--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == list(group.commands)
    assert all(line.endswith(".") for line in listed)


def test_version(run: Run) -> None:
    assert run("--version").stdout.startswith("erllama ")


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


@pytest.mark.parametrize(("word", "told"), [("pull", "`erllama models pull`"), ("version", "`erllama --version`")])
def test_a_word_of_another_program_is_answered_with_the_one_here(run: Run, word: str, told: str) -> None:
    done = run(word, "demo")
    assert (done.exit_code, f"No such command '{word}'. It is {told}." in done.stderr) == (EXIT_USAGE, True)
    assert f"  {word} " not in run("--help").stdout


def test_no_word_of_another_program_hides_a_command_and_what_it_names_is_there() -> None:
    known = dict(each_command())
    named = re.findall(r"`erllama ([a-z]+(?: [a-z]+)?)", " ".join(ELSEWHERE.values()))
    assert not set(ELSEWHERE) & set(ERLLAMA.commands)
    assert len(named) > 10
    assert [name for name in named if name not in known] == []
