"""Every command on a real daemon: its help, its examples, what it prints for programs, and how it ends."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import Any

import pytest
from e2e.command_rows import ROWS, Row
from e2e.stage import ROOT, Done, Stage, live_in, stage
from jsonschema import Draft202012Validator

from erllama_cli.commands import each_command
from erllama_cli.results.batch import BatchFailure
from erllama_cli.results.printed import LINES, PRINTED, WITHOUT_JSON

COMMANDS = [words for words, _summary in each_command()]
_OUTPUT = re.compile(r"-o (\S+\.\w+)")


@pytest.fixture(scope="module")
def built() -> Iterator[Stage]:
    with stage() as found:
        yield found


@pytest.fixture
def here(built: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The home that all commands share, as it was at first."""
    live_in(built, monkeypatch)
    built.set()
    return built


def examples(words: str) -> list[str]:
    module = f"erllama_cli.{words.replace(' ', '.')}"
    text: str = import_module(f"{module}_" if iskeyword(words.split()[-1]) else module).EXAMPLES
    return [line.strip() for line in text.partition("\n\n")[0].splitlines() if line.startswith("  ")]


def validator(name: str) -> Draft202012Validator:
    """Of what a schema describes, and nothing beyond it."""
    found: dict[str, Any] = json.loads((ROOT / "docs" / "schema" / f"{name.replace(' ', '-')}.json").read_text())
    Draft202012Validator.check_schema(found)
    for definition in found["$defs"].values():
        if "properties" in definition:
            definition["additionalProperties"] = False
    return Draft202012Validator(found)


def check_object(done: Done, schema: str) -> dict[str, Any]:
    """What was printed is one object on one line, as the schema says; gives it."""
    assert done.stdout.endswith("\n") and done.stdout.count("\n") == 1, done
    found: dict[str, Any] = json.loads(done.stdout)
    assert [*validator(schema).iter_errors(found)] == []
    return found


def replaced(here: Stage, row: Row, line: str) -> str:
    for word, meant in row.placeholders.items():
        line = re.sub(rf"(?<![\w-]){word}\b", meant, line)
    return here.replaced(line)


def worked(here: Stage, words: str, *options: str, otherwise: bool = False) -> Done:
    """What a command does with arguments that it is to succeed with, once everything is there that it needs."""
    row = ROWS[words]
    for line in row.before:
        assert here.shell(line).code == 0
    for name in ("exported.tar", "exported.json"):
        Path(name).unlink(missing_ok=True)
    arguments = [replaced(here, row, word) for word in (row.otherwise if otherwise else row.works)]
    return here.run(*words.split(), *arguments, *options, stdin=row.stdin)


def test_every_command_has_a_row_and_says_what_it_prints() -> None:
    assert set(ROWS) == set(COMMANDS)
    assert set(PRINTED) | set(WITHOUT_JSON) == set(COMMANDS)
    assert set(LINES) <= set(PRINTED)
    assert not set(PRINTED) & set(WITHOUT_JSON)
    assert all(set(row.unrun) <= set(examples(words)) for words, row in ROWS.items())


@pytest.mark.parametrize("words", COMMANDS)
def test_help_says_what_it_does_and_shows_it(here: Stage, words: str) -> None:
    done = here.run(*words.split(), "-h")
    assert (done.code, done.stderr) == (0, "")
    summary = " ".join(dict(each_command())[words].split())
    assert summary in " ".join(done.stdout.split())
    assert f"  erllama {words}" in done.stdout.partition("Examples:")[2]
    assert ("--json" in done.stdout) == (words not in WITHOUT_JSON)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_example_does_what_it_says(here: Stage, words: str) -> None:
    row = ROWS[words]
    for line in examples(words):
        if line in row.unrun:
            continue
        here.set()
        for output in _OUTPUT.findall(line):
            Path(output).unlink(missing_ok=True)
        for setting in row.before:
            assert here.shell(setting).code == 0
        done = here.shell(replaced(here, row, line), stdin="Hum.")
        assert (done.code, done.stderr) == (0, ""), (line, done)


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (words, number)
        for words, types in PRINTED.items()
        for number, kind in enumerate(types)
        if kind is not BatchFailure
    ],
)
def test_json_is_one_object_as_published(here: Stage, words: str, number: int) -> None:
    done = worked(here, words, "--json", otherwise=number == 1)
    assert (done.code, done.stderr) == (0, "")
    found = check_object(done, words)
    assert set(found) == set(PRINTED[words][number].__struct_encode_fields__)


def test_each_record_of_a_batch_has_an_object_as_published(here: Stage) -> None:
    done = here.run("run", "demo", "--batch", "-", "-n", "2", stdin='"Hum."\n{"id": 7}\n{"id": 7, "prompt": " "}\n')
    answered, *failed = [check_object(Done(0, f"{line}\n", ""), "run") for line in done.stdout.splitlines()]
    assert (done.code, answered["index"], [each["index"] for each in failed]) == (2, 1, [2, 3])
    assert [set(each) for each in failed] == [set(BatchFailure.__struct_encode_fields__)] * 2


@pytest.mark.parametrize("words", PRINTED)
def test_a_failure_is_one_object_that_says_its_exit_code(
    here: Stage, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ROWS[words]
    for name, value in row.environment.items():
        monkeypatch.setenv(name, value)
    done = here.run(*words.split(), *row.fails, "--json", stdin=row.stdin)
    failure = check_object(done, "error")["error"]
    assert (done.code, failure["exit_code"]) == (row.code, row.code), done
    if failure["code"] != "command_line_invalid":
        assert done.stderr.startswith(f"erllama: {failure['message']}\n")
    assert "Traceback" not in done.stderr
    plain = here.run(*words.split(), *row.fails, stdin=row.stdin)
    assert (plain.code, plain.stdout, plain.stderr) == (row.code, "", done.stderr)


@pytest.mark.parametrize("words", PRINTED)
def test_a_command_line_that_is_not_valid_is_named_and_ends_with_2(here: Stage, words: str) -> None:
    done = here.run(*words.split(), *ROWS[words].works, "--no-such-option", "--json")
    failure = check_object(done, "error")["error"]
    assert (done.code, failure["exit_code"], failure["code"]) == (2, 2, "command_line_invalid")
    assert "--no-such-option" in done.stderr


@pytest.mark.parametrize("words", COMMANDS)
def test_quiet_leaves_nothing_but_the_answer(here: Stage, words: str) -> None:
    if "--quiet" not in here.run(*words.split(), "-h").stdout:
        return
    done = worked(here, words, "--quiet")
    assert (done.code, done.stderr, bool(done.stdout)) == (0, "", ROWS[words].answer)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "demo", "Hum.", "-n", "2"), 0),
        (("chat", "--session", "nobody"), 1),
        (("run", "demo", ""), 2),
        (("run", "./nowhere.gguf", "Hum."), 3),
        (("run", "demo", "llama " * 9000), 5),
        (("run", "demo", "--require-cached=100", "Nobody asked this."), 6),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_each_documented_exit_code_happens(here: Stage, arguments: tuple[str, ...], code: int) -> None:
    done = here.run(*arguments, "--json")
    assert done.code == code
    if code:
        assert check_object(done, "error")["error"]["exit_code"] == code


def test_an_answer_in_a_pipe_is_the_answer_and_nothing_else(here: Stage) -> None:
    asked = 'erllama run demo "Name a river." -t 0'
    text = json.loads(here.shell(f"{asked} --json").stdout)["text"]
    assert here.shell(asked) == Done(0, f"{text}\n", "")
    assert here.shell(f"{asked} 2>/dev/null | cat") == Done(0, f"{text}\n", "")
    assert here.shell(f"{asked} -q") == Done(0, f"{text}\n", "")


def test_a_reader_that_leaves_and_ctrl_c_end_an_answer_without_a_word(here: Stage) -> None:
    left = here.shell('erllama run demo -n 4000 "Tell a long story." | head -c 1 >/dev/null; echo "${PIPESTATUS[0]}"')
    assert (left.stdout, left.stderr) == ("141\n", "")
    story = here.start("run", "demo", "-n", "4000", "Tell a long story.")
    assert story.stdout is not None
    assert story.stdout.read(1)
    story.send_signal(signal.SIGINT)
    _rest, told = story.communicate(timeout=30)
    assert (story.returncode, told) == (130, b"")


def test_a_daemon_in_the_foreground_is_one_that_other_commands_find(here: Stage) -> None:
    assert here.run("daemon", "stop").code == 0
    assert here.run("daemon", "status").code == 4
    status = here.run("daemon", "status", "--json")
    assert check_object(status, "daemon status")["running"] is False
    daemon = here.start("daemon", "run")
    while here.run("daemon", "status").code == 4:
        assert daemon.poll() is None
    assert check_object(here.run("daemon", "status", "--json"), "daemon status")["pid"] == daemon.pid
    daemon.send_signal(signal.SIGINT)
    daemon.communicate(timeout=30)
    assert here.run("daemon", "status").code == 4
