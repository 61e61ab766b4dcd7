"""Deleting blocks on disk, so that no loaded model brings them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from erllama_cli.client import Client
from erllama_cli.drawing.progress import Bar
from erllama_cli.results.cache import RemovalReport
from erllama_daemon.directories import Directories
from erllama_daemon.messages import ForgetRequest

if TYPE_CHECKING:
    from erllama_cache.disk.row import Row


def remove(
    rows: Sequence[Row], directories: Directories, *, even_pinned: bool = False, dry_run: bool = False, quiet: bool
) -> RemovalReport:
    """Deletes blocks in this order, and has a daemon that runs forget them.

    Raises what opening and changing the cache raises.
    """
    from erllama_cache.tending.holdings import Holdings

    gone = list(rows)
    if rows and not dry_run:
        with Bar("deleting blocks", shown=not quiet) as bar, Holdings(directories.cache) as holdings:
            try:
                gone = holdings.let_go(rows, bar.show, even_pinned=even_pinned)
            finally:
                # Even if only some went: the others are still on disk.
                forget(directories, ForgetRequest(keys=[row.key.hex() for row in rows]))
    extended = {row.parent for row in gone}
    return RemovalReport(
        chains=sum(row.key not in extended for row in gone),
        blocks=len(gone),
        bytes=sum(row.file_bytes for row in gone),
        dry_run=dry_run,
    )


def forget(directories: Directories, request: ForgetRequest) -> None:
    """Has the daemon, if one runs, let go in memory of what was deleted. Starts none."""
    client = Client(directories)
    if client.answers():
        client.forget(request)
