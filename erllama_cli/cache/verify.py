"""`erllama cache verify`: every block on disk, looked at from its first byte to its last."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.output import counted, print_json, readable_bytes
from erllama_cli.progress import Bar
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_FAILED

if TYPE_CHECKING:
    from pathlib import Path

    from erllama_cache.verification import OnProgress, Verdict

EXAMPLES = """\b
Examples:
  erllama cache verify
  erllama cache verify --repair
  erllama cache verify --json | jq '.damaged[].path'"""

SHOWN = 20
"""How many damaged files are named."""

Repair = Annotated[
    bool, typer.Option("--repair", help="Set damaged files aside, and make the index agree with the files.")
]


def verify(
    repair: Repair = False, as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """Check every block on disk: its checksums, its key, its place in its chain, and the index.

    Changes nothing without --repair; safe while a daemon runs. Ends with 1 if something is wrong and was not repaired.
    """
    with reported_failures(as_json=as_json, debug=debug):
        with Bar("checking blocks", shown=not quiet) as bar:
            verdict = _look(user_directories().cache, bar.show, repair=repair)
        if as_json:
            print_json(verdict)
        elif not quiet:
            _print(verdict)
        if not (verdict.is_clean or verdict.repaired):
            if not (as_json or quiet):
                print("Mend it with: erllama cache verify --repair", file=sys.stderr)
            raise typer.Exit(EXIT_FAILED)


def _look(directory: Path, on_progress: OnProgress, *, repair: bool) -> Verdict:
    from erllama_cache import verification
    from erllama_cache.errors import CacheUnreadable

    try:
        # A cache that is not there has nothing to mend, and none is made.
        look = verification.repair if repair and directory.is_dir() else verification.verify
        return look(directory, on_progress)
    except OSError as error:
        raise CacheUnreadable(path=directory, reason=error.strerror or error) from error


def _print(verdict: Verdict) -> None:
    for damage in verdict.damaged[:SHOWN]:
        print(f"damaged: {damage.path}: {damage.reason}")
    if (more := len(verdict.damaged) - SHOWN) > 0:
        print(f"damaged: {counted(more, 'more file')}")
    if not verdict.is_index_usable:
        print("the index cannot be read")
    found = {
        "not in the index": verdict.unindexed,
        "in the index, but gone": verdict.missing,
        "unreachable: the chain has lost its beginning (harmless; `erllama cache gc`)": verdict.unreachable,
    }
    for words, count in found.items():
        if count:
            print(f"{counted(count, 'block')} {words}")
    outcome = "clean" if verdict.is_clean else "repaired" if verdict.repaired else "not clean"
    print(f"{counted(verdict.blocks, 'sound block')}, {readable_bytes(verdict.bytes)} read: {outcome}")
