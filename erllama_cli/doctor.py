"""`erllama doctor`: the whole install, looked at from end to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures

if TYPE_CHECKING:
    from erllama_cli.results.doctor import Check

EXAMPLES = """\b
Examples:
  erllama doctor
  erllama doctor --no-answer
  erllama doctor --json | jq '.checks[] | select(.state != "ok")'"""

_WORD_WIDTH = len("warning")
_COLOURS = {"ok": 32, "warning": 33, "failed": 31}


def doctor(
    answer: Annotated[
        bool, typer.Option("--answer/--no-answer", "--online/--offline", help="Have the demo model say five tokens.")
    ] = True,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Check that erllama works here, and say what to do if not.

    Changes nothing, but that the answer starts the daemon and loads the demo model, if that is installed. Ends with 1
    if something failed; a warning is no failure.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.examination.examination import examined
        from erllama_cli.output import print_json
        from erllama_cli.results.doctor import Examination
        from erllama_daemon.directories import user_directories
        from erllama_daemon.errors import EXIT_FAILED

        checks = []
        for check in examined(user_directories(), with_answer=answer, debug=debug):
            checks.append(check)
            if not as_json:
                _print(check)
        failed = sum(check.state == "failed" for check in checks)
        if as_json:
            print_json(Examination(not failed, checks))
        else:
            _print_sum(failed, sum(check.state == "warning" for check in checks))
        if failed:
            raise typer.Exit(EXIT_FAILED)


def _print(check: Check) -> None:
    """A line for what was found, and below it what to do, each broken at words on a narrow terminal."""
    from textwrap import wrap

    from erllama_cli.one_line import line_width, one_line
    from erllama_cli.output import write_text

    indent = " " * (_WORD_WIDTH + 1)
    width = max(line_width() - len(indent), 1)
    lines = [one_line(f"{check.name}: {check.finding}"), *([one_line(check.remedy)] if check.remedy else [])]
    parts = [part for line in lines for part in wrap(line, width, break_long_words=False, break_on_hyphens=False)]
    first = f"{_coloured(check.state)}{' ' * (len(indent) - len(check.state))}{parts[0]}\n"
    write_text(first + "".join(f"{indent}{part}\n" for part in parts[1:]))


def _coloured(state: str) -> str:
    import sys

    from erllama_cli.drawing.screen import can_draw, may_colour

    return f"\x1b[{_COLOURS[state]}m{state}\x1b[0m" if may_colour() and can_draw(sys.stdout) else state


def _print_sum(failed: int, warnings: int) -> None:
    from erllama_cli.output import counted, write_text

    told = [f"{failed:,} failed"] if failed else []
    told += [counted(warnings, "warning")] if warnings else []
    write_text(f"{', '.join(told) or 'all is well'}\n")
