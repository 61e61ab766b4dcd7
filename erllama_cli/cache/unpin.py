"""`erllama cache unpin`: pins taken back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from erllama_cli import options
from erllama_cli.cache.names import Names, find_named
from erllama_cli.failures import reported_failures
from erllama_cli.output import counted, print_json

if TYPE_CHECKING:
    from erllama_daemon.directories import Directories

EXAMPLES = """\b
Examples:
  erllama cache unpin 3f2a"""


def unpin(
    names: Names, as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """Let evictions take pinned chains again.

    They go by the names with which they were pinned.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cache.tending.holdings import Holdings
        from erllama_cli.cache.pin_report import pin_report
        from erllama_cli.cache.this_machine import directories_here

        directories = directories_here()
        keys = _pinned(names, directories)
        if keys:
            with Holdings(directories.cache) as holdings:
                holdings.unpin(keys)
        report = pin_report(keys, directories)
        if as_json:
            print_json(report)
        elif not quiet:
            print(f"unpinned: {counted(len(keys), 'chain')}; {report.kept}")


def _pinned(names: Sequence[str], directories: Directories) -> list[bytes]:
    """The pins that the names stand for, those of blocks that are gone included."""
    from erllama_cache.disk.pins import Pins
    from erllama_cache.tending.survey import survey
    from erllama_daemon.sessions.chats import read_chats

    pinned, chats = Pins(directories.cache).all(), read_chats(directories.sessions)
    known = pinned | survey(directories.cache).rows.keys()
    keys: list[bytes] = []
    for name in names:
        named = find_named(name, chats, known)
        keys += [named] if isinstance(named, bytes) else named.all_keys
    return [key for key in dict.fromkeys(keys) if key in pinned]
