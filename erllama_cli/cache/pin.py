"""`erllama cache pin` and `unpin`: chains that no eviction takes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from erllama_cli import options
from erllama_cli.cache.names import Names, find_named
from erllama_cli.cache.quota import disk_quota
from erllama_cli.failures import reported_failures
from erllama_cli.output import counted, print_json, readable_bytes
from erllama_daemon.directories import Directories, user_directories
from erllama_daemon.errors import ChatNotCached

if TYPE_CHECKING:
    from erllama_cache.survey import Survey

PIN_EXAMPLES = """\b
Examples:
  erllama cache pin 3f2a
  erllama cache pin 3f2a 9b04c1 --json | jq .pinned_bytes"""

UNPIN_EXAMPLES = """\b
Examples:
  erllama cache unpin 3f2a"""


class PinReport(msgspec.Struct, frozen=True, kw_only=True):
    """The blocks that were pinned or unpinned (hexadecimal keys), and what all pins together keep on disk now."""

    keys: list[str]
    pinned_blocks: int
    pinned_bytes: int
    quota_bytes: int


def pin(
    names: Names, as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """Keep chains on disk, whatever has to make room: up to a block, or up to where a conversation is now.

    What the conversation says later is not pinned.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cache.holdings import Holdings

        directories = user_directories()
        keys = _ends(names, directories)
        with Holdings(directories.cache) as holdings:
            holdings.pin(keys)
        report = _report(keys, directories)
        if as_json:
            print_json(report)
        elif not quiet:
            print(f"pinned: {counted(len(keys), 'chain')}; {_kept(report)}")
        if report.pinned_bytes > report.quota_bytes / 2 and not quiet:
            size, quota = readable_bytes(report.pinned_bytes), readable_bytes(report.quota_bytes)
            print(f"More than half of the cache is pinned now, {size} of {quota}.", file=sys.stderr)


def unpin(
    names: Names, as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """Let evictions take chains again that were pinned by the same names."""
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cache.holdings import Holdings

        directories = user_directories()
        keys = _pinned(names, directories)
        if keys:
            with Holdings(directories.cache) as holdings:
                holdings.unpin(keys)
        report = _report(keys, directories)
        if as_json:
            print_json(report)
        elif not quiet:
            print(f"unpinned: {counted(len(keys), 'chain')}; {_kept(report)}")


def _ends(names: Sequence[str], directories: Directories) -> list[bytes]:
    """The block that each name stands for; of a conversation, the last one that is here. Raises ChatNotCached too."""
    from erllama_cache.survey import survey
    from erllama_daemon.chats import read_chats

    found, chats, ends = survey(directories.cache), read_chats(directories.sessions), list[bytes]()
    for name in names:
        named = find_named(name, chats, found.rows.keys())
        end = named if isinstance(named, bytes) else found.last_of(named.keys)
        if end is None:
            raise ChatNotCached(session=name)
        ends.append(end)
    return [*dict.fromkeys(ends)]


def _pinned(names: Sequence[str], directories: Directories) -> list[bytes]:
    """The pins that the names stand for, those of blocks that are gone included."""
    from erllama_cache.pins import Pins
    from erllama_cache.survey import survey
    from erllama_daemon.chats import read_chats

    pinned, chats = Pins(directories.cache).all(), read_chats(directories.sessions)
    known = pinned | survey(directories.cache).rows.keys()
    keys: list[bytes] = []
    for name in names:
        named = find_named(name, chats, known)
        keys += [named] if isinstance(named, bytes) else named.keys
    return [key for key in dict.fromkeys(keys) if key in pinned]


def _report(keys: Sequence[bytes], directories: Directories) -> PinReport:
    from erllama_cache.survey import survey

    kept = _kept_rows(survey(directories.cache))
    return PinReport(
        keys=[key.hex() for key in keys],
        pinned_blocks=len(kept),
        pinned_bytes=sum(kept.values()),
        quota_bytes=disk_quota(directories),
    )


def _kept_rows(found: Survey) -> dict[bytes, int]:
    """The sizes of all blocks that pins keep."""
    pinned = (row.key for row in found.rows.values() if row.is_pinned)
    return {row.key: row.file_bytes for key in pinned for row in found.chain(key)}


def _kept(report: PinReport) -> str:
    if not report.pinned_blocks:
        return "nothing is pinned now"
    return f"{counted(report.pinned_blocks, 'block')}, {readable_bytes(report.pinned_bytes)}, are kept now"
