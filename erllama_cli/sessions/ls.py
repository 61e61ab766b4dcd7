"""`erllama sessions ls`: the conversations, one a line."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.fitted import fitted
from erllama_cli.model import short_name
from erllama_cli.one_line import cut, one_line
from erllama_cli.output import Table, print_json, print_table, readable_seconds

if TYPE_CHECKING:
    from erllama_daemon.messages import SessionList, SessionSummary

EXAMPLES = """\b
Examples:
  erllama sessions ls
  erllama sessions ls "the build"
  erllama sessions ls --json | jq -r '.sessions[0].id'"""

_HEADER = ("id", "model", "turns", "tokens", "age", "conversation")
_EXPENDABLE = ("tokens", "turns", "model", "age", "conversation")
_NUMERIC = frozenset({"turns", "tokens", "age"})
_CALLED_COLUMNS = 30


def ls(
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="Only those in whose name or messages this stands.")
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show the conversations, the one used last first.

    Each goes by its name or else how it began. With TEXT, those in which it stands, whatever its case, and where. AGE
    is how long ago something was said or changed.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.launcher import running_daemon
        from erllama_cli.question import valid_text
        from erllama_daemon.directories import user_directories

        wanted = "" if text is None else valid_text(text, "TEXT")
        listed = running_daemon(user_directories(), quiet=quiet).session_list(wanted)
        if as_json:
            print_json(listed)
        elif listed.sessions:
            print_table(fitted(_found(listed.sessions) if wanted else _all(listed.sessions), _EXPENDABLE))
        if not (quiet or as_json) and sys.stderr.isatty():
            _tell(listed, wanted)


def _tell(listed: SessionList, wanted: str) -> None:
    if listed.notice is not None:
        print(listed.notice, file=sys.stderr)
    if not listed.sessions:
        print(_nothing(wanted), file=sys.stderr)


def _nothing(wanted: str) -> str:
    if wanted:
        return f'"{one_line(wanted)}" stands in no conversation.'
    return "There is no conversation yet. Start one with: erllama chat demo"


def _all(sessions: list[SessionSummary]) -> Table:
    return Table(_HEADER, [[*_about(each), one_line(each.called)] for each in sessions], _NUMERIC)


def _found(sessions: list[SessionSummary]) -> Table:
    rows = [
        [*_about(each), cut(one_line(each.called), _CALLED_COLUMNS), one_line(each.found or "")] for each in sessions
    ]
    return Table((*_HEADER, "found"), rows, _NUMERIC)


def _about(each: SessionSummary) -> list[str]:
    age = readable_seconds(max(0.0, time.time() - each.updated))
    return [each.id, one_line(short_name(each.model)), f"{each.turns:,}", f"{each.tokens:,}", age]
