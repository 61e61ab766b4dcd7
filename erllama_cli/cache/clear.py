"""`erllama cache clear`: an empty cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.output import print_json

if TYPE_CHECKING:
    from erllama_cli.results.cache import RemovalReport
    from erllama_daemon.directories import Directories

EXAMPLES = """\b
Examples:
  erllama cache clear
  erllama cache clear --pinned --json | jq .bytes"""

Pinned = Annotated[bool, typer.Option("--pinned", help="Let go of what is pinned, too.")]


def clear(
    pinned: Pinned = False, as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """Delete everything in the cache that is not pinned.

    On disk and in memory. Nothing is lost but time: conversations stay, and go on once their tokens have been read
    again.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.cache.this_machine import directories_here

        report = _clear(directories_here(), even_pinned=pinned, quiet=quiet)
        if as_json:
            print_json(report)
        elif not quiet:
            print(report)


def _clear(directories: Directories, *, even_pinned: bool, quiet: bool) -> RemovalReport:
    from erllama_cache.tending.holdings import Holdings
    from erllama_cache.tending.survey import survey
    from erllama_cli.cache.removal import forget, remove
    from erllama_daemon.messages import ForgetRequest

    if directories.cache.is_dir():
        with Holdings(directories.cache) as holdings:
            holdings.reconcile()  # what the index has lost is to go as well
            holdings.discard(holdings.files.quarantined())
    found = survey(directories.cache)
    rows = found.removable(found.rows.keys(), even_pinned=even_pinned)
    try:
        report = remove(rows, directories, even_pinned=even_pinned, quiet=quiet)
    finally:
        forget(directories, ForgetRequest(everything=True))
    if directories.cache.is_dir():
        with Holdings(directories.cache) as holdings:
            holdings.compact()
    return report
