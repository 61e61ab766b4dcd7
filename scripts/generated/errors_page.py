"""docs/errors.md: every error, by the exit code that it ends a command with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import erllama_daemon.errors  # noqa: F401 the classes make themselves known
from erllama_cache.errors import ErllamaError
from generated.exit_codes import MEANINGS

PAGE = Path("docs/errors.md")
_FIELD = re.compile(r"\{(\w+)[^}]*\}")
INTRODUCTION = """\
# Errors

A command that fails says what went wrong on standard error, and below it what helps. With `--json` it prints one object
instead, `{"error": {"code": …, "message": …, "hint": …, "exit_code": …}}`, and the daemon answers the same over
[HTTP](http.md). Codes stay what they are from one version to the next; messages do not. `--debug` adds the traceback.

Words in *italics* stand for what it is about; names that hold spaces are quoted as a shell would want them. Some errors
know more, and give a better hint.

| exit code | |
|---|---|
"""


def files() -> Iterator[tuple[Path, str]]:
    """The page."""
    yield PAGE, "\n".join([*sections()]) + "\n"


def errors() -> list[type[ErllamaError]]:
    """Every class that is an error of its own, by its code."""
    own = (
        each
        for each in ErllamaError.registry.values()
        if each.__module__.rpartition(".")[0] != "erllama_daemon.messages"
    )
    return sorted(own, key=lambda each: each.code)


def sections() -> Iterator[str]:
    """The page's lines: the exit codes, and below them the errors of each."""
    yield INTRODUCTION + "\n".join(f"| {code} | {as_markdown(meaning)} |" for code, meaning in MEANINGS.items())
    for exit_code in sorted({each.exit_code for each in errors()}):
        yield f"\n## {exit_code}: {MEANINGS[exit_code].rstrip('.')}\n"
        yield "| code | message | hint |\n|---|---|---|"
        for each in errors():
            if each.exit_code == exit_code:
                yield f"| `{each.code}` | {as_markdown(each.__doc__ or '')} | {as_markdown(each.hint or '')} |"


def as_markdown(template: str) -> str:
    """A message or a hint in a cell of a table."""
    text = " ".join(template.split()).replace("|", "\\|").replace("*", "\\*").replace("<", "\\<")
    text = re.sub(r"`[^`]*`", lambda code: _FIELD.sub(lambda found: found[1].upper(), code[0]), text)
    return _FIELD.sub(lambda found: f"*{found[1].replace('_', ' ')}*", text)


def _below(error: type[ErllamaError]) -> Iterator[type[ErllamaError]]:
    for each in error.__subclasses__():
        if ".errors" in each.__module__:  # what the daemon answered is told under its own code
            yield each
        yield from _below(each)
