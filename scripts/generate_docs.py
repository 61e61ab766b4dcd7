"""Writes the man pages, the shell completions and the JSON Schemas from the commands themselves.

python scripts/generate_docs.py            write man/, completions/ and docs/schema/
python scripts/generate_docs.py --check    write nothing; end with 1 and name the files that drifted
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# Neither the terminal's width nor the caller's taste may show in the files.
os.environ.update(COLUMNS="80", NO_COLOR="1", TYPER_USE_RICH="0")

import typer
from generated import schemas
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from erllama_cli.command import new_app
from erllama_cli.completion.shells import SCRIPTS
from erllama_cli.failures import EXIT_PIPE_CLOSED
from erllama_daemon.errors import (
    EXIT_CONTEXT,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_MODEL,
    EXIT_NOT_CACHED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
)

ROOT = Path(__file__).parent.parent
NAME = "erllama"
COMPLETIONS = {"bash": "erllama.bash", "zsh": "_erllama", "fish": "erllama.fish"}
FILES = {
    "$XDG_DATA_HOME/erllama": "The conversations (~/.local/share/erllama). Yours to keep.",
    "$XDG_CACHE_HOME/erllama": "The cache (~/.cache/erllama). Deleting it costs only time.",
    "$XDG_RUNTIME_DIR/erllama": "The daemon's socket and locks.",
    "$XDG_STATE_HOME/erllama/log": "What the daemon prints (~/.local/state/erllama/log).",
}

EXIT_STATUS = {
    0: "Done.",
    EXIT_FAILED: "It failed.",
    EXIT_USAGE: "The command or its input is not valid.",
    EXIT_MODEL: "The model is missing or cannot be read.",
    EXIT_UNREACHABLE: "The daemon cannot be reached, or does not run.",
    EXIT_CONTEXT: "The prompt does not fit into the model's context.",
    EXIT_NOT_CACHED: "The cache did not hold what --require-cached demanded.",
    EXIT_INTERRUPTED: "Interrupted by Ctrl-C; the answer was cancelled.",
    EXIT_PIPE_CLOSED: "Whoever read the output left; the answer was cancelled.",
}

# What typer writes behind an argument's name.
ARGUMENT_TYPE = re.compile(r"(?<=\w) <(str|float|list\[str\])>$")

Command = TyperGroup | TyperCommand


def main() -> None:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description="Write man pages and completions from the commands.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file drifted")
    check = parser.parse_args().check
    drifted = [path for path, text in generated() if not path.is_file() or path.read_text() != text]
    if check:
        for path in drifted:
            print(f"{path.relative_to(ROOT)} is not what the commands say; run scripts/generate_docs.py")
        sys.exit(1 if drifted else 0)
    for path, text in generated():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def generated() -> Iterator[tuple[Path, str]]:
    """Every file and what belongs into it."""
    for words, command in commands([NAME], get_command(new_app())):
        yield ROOT / "man" / f"{'-'.join(words)}.1", man_page(words, command)
    for shell, file in COMPLETIONS.items():
        yield ROOT / "completions" / file, SCRIPTS[shell]
    for path, text in schemas.files():
        yield ROOT / path, text


def commands(words: list[str], command: object) -> Iterator[tuple[list[str], Command]]:
    """`command`, which is called by `words`, and every command below it."""
    if not isinstance(command, TyperGroup | TyperCommand):
        raise TypeError(f"{' '.join(words)} is no command of typer's")
    yield words, command
    if isinstance(command, TyperGroup):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from commands([*words, name], command.get_command(context, name))


def man_page(words: list[str], command: Command) -> str:
    """The page of one command, as troff."""
    context = typer.Context(command, info_name=" ".join(words), help_option_names=["-h", "--help"])
    summary, _, details = (command.help or "").strip().partition("\n\n")
    usage = command.get_usage(context).removeprefix("Usage: ").replace("{", "").replace("}", "")
    parameters = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    examples, _, remarks = (command.epilog or "").removeprefix("\b\nExamples:\n").partition("\n\n")
    lines = [
        f'.TH "{"-".join(words).upper()}" "1" "" "erllama" "User Commands"',
        *section("NAME", f"{'-'.join(words)} \\- {escaped(lowered(summary))}"),
        *section("SYNOPSIS", f".B {escaped(' '.join(usage.split()))}"),
        *section("DESCRIPTION", *paragraphs(summary, details, remarks)),
        *section("OPTIONS", *entries(parameters)),
    ]
    if isinstance(command, TyperGroup):
        found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
        children = [(name, child.get_short_help_str(200)) for name, child in found if child is not None]
        lines += section("COMMANDS", *entries(children))
    lines += section("EXAMPLES", ".nf", *(escaped(line.strip()) for line in examples.splitlines()), ".fi")
    lines += section("EXIT STATUS", *entries([(str(code), meaning) for code, meaning in EXIT_STATUS.items()]))
    lines += section("FILES", *entries(list(FILES.items())))
    return "\n".join(lines) + "\n"


def section(title: str, *lines: str) -> list[str]:
    """A section under its title."""
    return [f".SH {title}", *lines]


def paragraphs(*texts: str) -> Iterator[str]:
    """Running text: blank lines separate, other line breaks do not count."""
    for paragraph in "\n\n".join(text for text in texts if text).split("\n\n"):
        yield ".PP"
        yield escaped(" ".join(paragraph.split()))


def entries(pairs: list[tuple[str, str]]) -> Iterator[str]:
    """Terms and what they mean."""
    for term, meaning in pairs:
        yield ".TP"
        yield f".B {escaped(ARGUMENT_TYPE.sub('', term))}"
        yield escaped(" ".join(meaning.split()))


def escaped(text: str) -> str:
    """`text` such that troff prints it as it stands."""
    quoted = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("'", "\\(aq")
    return f"\\&{quoted}" if quoted.startswith(".") else quoted


def lowered(sentence: str) -> str:
    """A summary as `whatis` likes it: no capital, no full stop."""
    return sentence[:1].lower() + sentence[1:].partition(". ")[0].rstrip(".")


if __name__ == "__main__":
    main()
