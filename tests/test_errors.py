"""Every error says what went wrong, what helps, and under which code; and says where when it is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from erllama_cli.command import new_app
from erllama_daemon.errors import ContextExceeded, ModelMissing, NotCached, SessionModelDiffers
from generated.commands import Command, erllama
from generated.errors_page import as_markdown, errors
from generated.exit_codes import MEANINGS, exit_codes

COMMANDS = [command for command in erllama().leaves() if any("--debug" in each.names for each in command.parameters)]


def test_every_error_has_a_message_a_code_of_its_own_and_a_hint() -> None:
    known = errors()
    assert len(known) > 50
    assert [each for each in known if not each.__doc__ or not each.hint] == []
    assert [each for each in known if "code" not in vars(each) or each.exit_code not in MEANINGS] == []
    codes = [each.code for each in known]
    assert sorted(set(codes)) == codes


def test_every_command_that_a_hint_names_is_there() -> None:
    words = {command.name for command in erllama().leaves()}
    hints = " ".join(f"{each.hint}." for each in errors())
    named = re.findall(r"(?:`|: )erllama ((?:adapter|cache|config|daemon|models|sessions) [a-z]+|[a-z]+)", hints)
    assert len(named) > 10
    assert {name for name in named if f"erllama {name}" not in words} == set()


def test_names_that_hold_spaces_are_quoted_as_a_shell_would_want_them() -> None:
    error = SessionModelDiffers(called="my build", session="3f2a", model="demo", given="a b.gguf")
    assert str(error) == "The conversation 'my build' is with demo, not with 'a b.gguf'."
    assert "--session 3f2a --model 'a b.gguf'" in (error.hint or "")
    assert str(ModelMissing(model="it's")) == """There is no model 'it'"'"'s'."""


def test_numbers_of_tokens_are_written_as_everywhere_else() -> None:
    assert str(ContextExceeded(tokens=50_034, limit=8192)).startswith("The prompt has 50,034 tokens; the model's")
    assert "; 2,587 were demanded." in str(NotCached(cached=0, demanded=2587, tokens=9000, model="demo"))


def test_what_stands_for_something_is_told_from_what_is_typed() -> None:
    template = "No {a_b!q} of {n:.0f} | in `cache {model!q}`."
    assert as_markdown(template) == "No *a b* of *n* \\| in `cache MODEL`."


def arguments(command: Command) -> Iterator[str]:
    """What a command cannot do without."""
    for parameter in command.command.params:
        if parameter.required:
            yield from parameter.opts[:1] if parameter.param_type_name == "option" else ()
            yield "1"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.words[1:]))
def test_debug_shows_where_a_command_failed(monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    def fail(_name: str) -> None:
        raise RuntimeError("no folders")

    monkeypatch.setattr("platformdirs.user_runtime_dir", fail)
    for words, traces in ((["--debug"], True), ([], False)):
        done = CliRunner().invoke(new_app(), [*command.words[1:], *arguments(command), *words], input="Why?")
        assert done.exit_code in set(exit_codes(" ".join(command.words[1:]))) - {0}, done.output
        assert ("Traceback (most recent call last)" in done.stderr) == traces
        assert "\nerllama: " in f"\n{done.stderr}"
