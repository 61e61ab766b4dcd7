"""`erllama sessions rm`: conversations that go for good."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures, told_failure
from erllama_cli.output import counted, print_json, readable_bytes
from erllama_cli.sessions.named import NAMES, named

if TYPE_CHECKING:
    from erllama_cli.client import Client
    from erllama_daemon.messages import DeletedSession, Failure, Session

EXAMPLES = """\b
Examples:
  erllama sessions rm 0f3a
  erllama sessions rm build "another way" --yes
  erllama sessions rm build --json | jq '.deleted[].bytes'"""


def rm(
    names: Annotated[list[str], NAMES],
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Delete conversations, and what only they have in the cache.

    Turns that a fork shares stay with the fork. On a terminal it asks first; elsewhere, and with --yes, it does
    not. A conversation that cannot be deleted does not keep the others.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cache.errors import ErllamaError
        from erllama_cli.asking import can_ask
        from erllama_cli.launcher import running_daemon
        from erllama_cli.results.sessions import Removed
        from erllama_daemon.directories import user_directories
        from erllama_daemon.errors import EXIT_FAILED

        client = running_daemon(user_directories(), quiet=quiet)
        found, failures = _find(client, names, debug=debug)
        if found and not yes and can_ask() and not _agreed(found):
            if as_json:
                print_json(Removed([], failures))
            print("Nothing was deleted.", file=sys.stderr)
            raise typer.Exit(EXIT_FAILED)
        deleted = []
        for session in found:
            try:
                deleted.append(client.delete_session(session))
            except ErllamaError as error:
                failures.append(told_failure(error, debug=debug))
                continue
            if not (as_json or quiet):
                print(_line(deleted[-1]), flush=True)
        if as_json:
            print_json(Removed(deleted, failures))
        if failures:
            raise typer.Exit(failures[0].exit_code)


def _find(client: Client, names: list[str], *, debug: bool) -> tuple[list[Session], list[Failure]]:
    """Each conversation once, and what was said of the names that none has."""
    from erllama_daemon.messages import RemoteError

    found: dict[str, Session] = {}
    failures = []
    for name in names:
        try:
            session = client.session(name)
        except RemoteError as error:
            failures.append(told_failure(error, debug=debug))
            continue
        found[session.id] = session
    return [*found.values()], failures


def _agreed(sessions: list[Session]) -> bool:
    from erllama_cli.asking import Left, ask_line

    for session in sessions:
        print(f"{named(session)}: {counted(session.turns, 'turn')}", file=sys.stderr)
    try:
        return ask_line(f"Delete {counted(len(sessions), 'conversation')}? [y/N]").casefold() in ("y", "yes")
    except Left:
        return False


def _line(deleted: DeletedSession) -> str:
    freed = f"{counted(deleted.blocks, 'block')}, {readable_bytes(deleted.bytes)} of the cache"
    return f"deleted {named(deleted)}: {counted(deleted.turns, 'turn')}, {freed}"
