"""`erllama cache pin`: chains that no eviction takes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from erllama_cli import options
from erllama_cli.cache.names import Names, find_named
from erllama_cli.failures import reported_failures
from erllama_cli.output import counted, print_json, readable_bytes

if TYPE_CHECKING:
    from erllama_daemon.directories import Directories

EXAMPLES = """\b
Examples:
  erllama cache pin 3f2a
  erllama cache pin 3f2a 9b04c1 --json | jq .pinned_bytes"""


def pin(
    names: Names, as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """Keep chains on disk, whatever has to make room.

    Up to a block, or up to where a conversation is now: what it says later is not pinned.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cache.tending.holdings import Holdings
        from erllama_cli.cache.pin_report import pin_report
        from erllama_cli.cache.this_machine import directories_here

        directories = directories_here()
        keys = _ends(names, directories)
        with Holdings(directories.cache) as holdings:
            holdings.pin(keys)
        report = pin_report(keys, directories)
        if as_json:
            print_json(report)
        elif not quiet:
            print(f"pinned: {counted(len(keys), 'chain')}; {report.kept}")
        if report.pinned_bytes > report.quota_bytes / 2 and not quiet:
            size, quota = readable_bytes(report.pinned_bytes), readable_bytes(report.quota_bytes)
            print(f"More than half of the cache is pinned now, {size} of {quota}.", file=sys.stderr)


def _ends(names: Sequence[str], directories: Directories) -> list[bytes]:
    """The block that each name stands for; of a conversation, the last one that is here. Raises ChatNotCached too."""
    from erllama_cache.tending.survey import survey
    from erllama_daemon.errors import ChatNotCached
    from erllama_daemon.sessions.chats import read_chats

    found, chats, ends = survey(directories.cache), read_chats(directories.sessions), list[bytes]()
    for name in names:
        named = find_named(name, chats, found.rows.keys())
        end = named if isinstance(named, bytes) else found.last_of(named.keys)
        if end is None:
            raise ChatNotCached(session=name)
        ends.append(end)
    return [*dict.fromkeys(ends)]
