"""`erllama cache gc`: what is of no use to anybody leaves the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from erllama_cli import options
from erllama_cli.cache.options import DryRun
from erllama_cli.failures import reported_failures
from erllama_cli.output import print_json, readable_bytes

if TYPE_CHECKING:
    from erllama_cache.tending.garbage import Garbage

EXAMPLES = """\b
Examples:
  erllama cache gc
  erllama cache gc --dry-run --json | jq .unreachable"""

_KINDS = {
    "unfinished": "files of writers that died",
    "quarantined": "damaged files that were set aside",
    "unreachable": "blocks whose chain has lost its beginning",
    "over_quota": "blocks beyond the quota",
    "roots": "descriptions of models that have no blocks",
    "pins": "pins of blocks that are gone",
    "unindexed": "files that the index did not know",
}


def gc(
    dry_run: DryRun = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Remove what is of no use to anybody, and enforce the quota.

    Safe while a daemon runs. What is left over of dead writers goes, damaged files, blocks that cannot be reached
    and those beyond the quota; index and files are brought into agreement, and the index is made smaller.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cache.tending.garbage import collect, find_garbage
        from erllama_cli.cache.quota import disk_quota
        from erllama_cli.cache.this_machine import directories_here
        from erllama_cli.drawing.progress import Bar

        directories = directories_here()
        quota = disk_quota(directories)
        if dry_run:
            garbage = find_garbage(directories.cache, quota)
        else:
            with Bar("deleting blocks", shown=not quiet) as bar:
                garbage = collect(directories.cache, quota, bar.show)
        if as_json:
            print_json(garbage)
        elif not quiet:
            _print(garbage, dry_run=dry_run)


def _print(garbage: Garbage, *, dry_run: bool) -> None:
    for name, words in _KINDS.items():
        heap = getattr(garbage, name)
        if heap.count:
            size = f", {readable_bytes(heap.bytes)}" if heap.bytes else ""
            print(f"{words}: {heap.count:,}{size}")
    if garbage.missing:
        print(f"blocks whose files were gone: {garbage.missing:,}")
    print(f"room that {'would be' if dry_run else 'was'} given back: {readable_bytes(garbage.freed_bytes)}")
