"""What `man` makes of the pages: everything that is said, and no complaint."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from programs import program

from erllama_daemon.errors import EXIT_NOT_CACHED
from generated import roff
from generated.commands import erllama
from generated.exit_codes import exit_codes

FOLDER = Path(__file__).parents[2] / "man"
PAGES = sorted(FOLDER.glob("*.1"))
LEAVES = [*erllama().leaves()]

AWKWARD = [
    ".TH is no macro here",
    "'so is a quote at the start",
    "a back\\slash, \\fB and \\(bu",
    "ends in a backslash \\",
    "quotes \"double\", 'single', `back`",
    "a-b --c -1 ^ ~ | # $HOME % & * {x} [y] <z>",
    "ünïcödé, 🦙 and … as well",
]


def shown(page: Path | str, width: int = 80) -> str:
    """What `man` prints of a page, or of its text; it complains of nothing."""
    done = subprocess.run(
        [program("man"), "--warnings", "-E", "UTF-8", "-l", page if isinstance(page, Path) else "-"],
        input=None if isinstance(page, Path) else page.encode(),
        capture_output=True,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": str(width)},
    )
    assert done.stderr == b"", page
    return done.stdout.decode()


@pytest.mark.parametrize("width", [80, 40])
def test_every_page_renders_without_a_warning_at_any_width(width: int) -> None:
    for page in PAGES:
        assert "SEE ALSO" in shown(page, width)


def test_whatis_finds_every_page_with_its_summary() -> None:
    done = subprocess.run([program("lexgrog"), *PAGES], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == len(PAGES)
    assert f'{FOLDER}/erllama-run.1: "erllama-run - print one answer, token by token"' in done.stdout


def test_what_is_typed_or_said_is_shown_letter_by_letter() -> None:
    rows = [".TH X 1", *roff.section("NAME", "x \\- y"), *roff.example(AWKWARD)]
    for text in AWKWARD:
        rows += [*roff.paragraph(roff.prose(text)), *roff.paragraph(roff.bold(text))]
    page = " ".join(shown("\n".join(rows), 200).split()).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    for text in AWKWARD:
        assert page.count(" ".join(text.split())) == 3


def test_code_options_and_variables_are_marked_in_running_text() -> None:
    assert roff.marked("With --a-b or `c d`, FILE is bit-exact; see erllama-run(1).", ["FILE"]) == (
        "With \\fB\\%\\-\\-a\\-b\\fR or \\fB\\%c \\%d\\fR, \\fIFILE\\fR is bit-exact; see \\fB\\%erllama\\-run\\fR(1)."
    )
    assert roff.syntax("FILE[=SCALE] on|off") == ("\\fIFILE\\fR[=\\fISCALE\\fR] \\fB\\%on\\fR|\\:\\fB\\%off\\fR")


def test_a_page_has_every_option_and_example_of_its_commands() -> None:
    for command in LEAVES:
        page = (FOLDER / f"{'-'.join(command.words[:2])}.1").read_text()
        assert command.examples, command.name
        wanted = [roff.bold(name) for parameter in command.parameters for name in parameter.names]
        wanted += map(roff.literal, command.examples)
        assert [each for each in wanted if each not in page] == [], command.name
        assert all(parameter.meaning for parameter in command.parameters), command.name


def test_only_what_demands_cached_tokens_ends_with_its_exit_code() -> None:
    for command in LEAVES:
        demands = any("--require-cached" in parameter.names for parameter in command.parameters)
        assert (EXIT_NOT_CACHED in exit_codes(" ".join(command.words[1:]))) == demands, command.name


def test_a_command_that_says_nothing_of_its_exit_codes_is_named() -> None:
    with pytest.raises(KeyError, match="`erllama made up`"):
        exit_codes("made up")
