"""The man pages: one for `erllama` itself, and one for each word that may follow it.

The tools that make such pages know plain click, argparse or the text of a help alone, and a page a command: these read
the commands of typer, tell of a whole group on its page, and pass the checks of groff, mandoc and lexgrog.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from erllama_daemon import __version__
from generated import roff
from generated.commands import Command, erllama
from generated.exit_codes import MEANINGS, exit_codes
from generated.parameters import Parameter
from generated.surroundings import ENVIRONMENT, FILES

FOLDER = Path("man")


def files() -> Iterator[tuple[Path, str]]:
    """Every page and what belongs into it."""
    whole = erllama()
    pages = [whole, *whole.children]
    for command in pages:
        others = sorted(other.page for other in pages if other is not command)
        yield FOLDER / f"{command.page}.1", page(command, others)


def page(command: Command, others: Iterable[str]) -> str:
    """The page of a command, which points to others."""
    is_whole = len(command.words) == 1
    body = whole_body(command) if is_whole else group_body(command) if command.is_group else leaf_body(command)
    rows = [
        f'.TH {roff.literal(command.page.upper())} 1 "" "erllama {__version__}" "User Commands"',
        ".ad l",
        *roff.section("NAME", f"{roff.literal(command.page)} \\- {roff.prose(lowered(command.summary))}"),
        *body,
        *roff.section("EXIT STATUS", *roff.entries(exit_entries(command))),
    ]
    if is_whole:
        rows += roff.section("ENVIRONMENT", *roff.entries(surrounding(ENVIRONMENT.items())))
        rows += roff.section("FILES", *roff.entries(surrounding(FILES.items())))
    else:
        rows += roff.section("ENVIRONMENT", *roff.paragraph(roff.marked("See erllama(1).")))
    rows += roff.section("SEE ALSO", *roff.lines(", ".join(f"{roff.bold(other)}(1)" for other in others)))
    return "\n".join(rows) + "\n"


def whole_body(command: Command) -> Iterator[str]:
    """What `erllama` is, and which commands it has."""
    yield from roff.section("SYNOPSIS", synopsis(command))
    yield from roff.section("DESCRIPTION", *description(command))
    yield from roff.section("OPTIONS", *parameter_entries(command.parameters))
    found = [(roff.bold(child.words[-1]), f"{child.summary} See {child.page}(1).") for child in command.children]
    yield from roff.section("COMMANDS", *roff.entries((term, roff.marked(meaning)) for term, meaning in found))
    yield from roff.section("EXAMPLES", *roff.example(command.examples))


def leaf_body(command: Command) -> Iterator[str]:
    """How a command is called."""
    arguments = [parameter for parameter in command.parameters if not parameter.names]
    options = [parameter for parameter in command.parameters if parameter.names]
    yield from roff.section("SYNOPSIS", synopsis(command))
    yield from roff.section("DESCRIPTION", *description(command))
    yield from roff.section("ARGUMENTS", *parameter_entries(arguments))
    yield from roff.section("OPTIONS", *parameter_entries(options))
    yield from roff.section("EXAMPLES", *roff.example(command.examples))


def group_body(command: Command) -> Iterator[str]:
    """How each command of a group is called. What all of them take is said once."""
    leaves = [*command.leaves()]
    shared = [option for option in leaves[0].parameters if all(option in leaf.parameters for leaf in leaves)]
    yield from roff.section("SYNOPSIS", *"\n.br\n".join(map(synopsis, leaves)).splitlines())
    yield from roff.section("DESCRIPTION", *description(command))
    yield ".SH COMMANDS"
    for leaf in leaves:
        yield from roff.headed(f".SS {synopsis(leaf)}", description(leaf))
        yield from parameter_entries(parameter for parameter in leaf.parameters if parameter not in shared)
    yield from roff.section("OPTIONS", *roff.paragraph("Every command takes these."), *parameter_entries(shared))
    examples = dict.fromkeys(shown for each in (command, *leaves) for shown in each.examples)
    yield from roff.section("EXAMPLES", *roff.example(examples))


def synopsis(command: Command) -> str:
    """A command and what may follow it, on one line."""
    return f"{roff.bold(command.name)} {roff.syntax(command.usage)}"


def description(command: Command) -> Iterator[str]:
    """What a command does, in paragraphs."""
    variables = {parameter.value.strip(" .") for parameter in command.parameters if not parameter.names}
    for text in (command.summary, *command.details):
        yield from roff.paragraph(roff.marked(text, variables))


def parameter_entries(parameters: Iterable[Parameter]) -> Iterator[str]:
    """Options and arguments, and what they mean."""
    yield from roff.entries(
        (
            ", ".join(map(roff.bold, parameter.names)) + roff.syntax(parameter.value.replace("<", "").replace(">", "")),
            roff.marked(parameter.meaning, parameter.variables),
        )
        for parameter in parameters
    )


def exit_entries(command: Command) -> Iterator[tuple[str, str]]:
    """The exit codes of a command; for a group, those that only some of its commands have are said to be theirs."""
    leaves = {leaf.words[-1]: exit_codes(" ".join(leaf.words[1:])) for leaf in command.leaves()}
    for code, meaning in MEANINGS.items():
        having = [name for name, codes in leaves.items() if code in codes]
        only = "" if len(having) == len(leaves) or len(command.words) == 1 else f" Only {', '.join(having)}."
        if having:
            yield roff.bold(str(code)), roff.marked(meaning + only)


def surrounding(found: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Variables or files, and what they are for."""
    return ((", ".join(map(roff.bold, name.split(", "))), roff.marked(meaning)) for name, meaning in found)


def lowered(sentence: str) -> str:
    """A summary as `whatis` likes it: no capital, no full stop."""
    return (sentence[:1].lower() + sentence[1:]).replace(". ", "; ").rstrip(".")
