"""`erllama cache verify`: every block on disk, looked at from its first byte to its last."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.completion.candidates import complete_model
from erllama_cli.failures import reported_failures
from erllama_cli.model import resolve_model
from erllama_cli.output import counted, print_json, readable_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from erllama_cache.tending.verification import OnProgress, Verdict
    from erllama_daemon.messages import Recomputed, RecomputeRequest

EXAMPLES = """\b
Examples:
  erllama cache verify
  erllama cache verify --repair
  erllama cache verify --recompute 20 --model demo
  erllama cache verify --json | jq '.damaged[].path'"""

SHOWN = 20
"""How many damaged files are named."""

Repair = Annotated[
    bool, typer.Option("--repair", help="Set damaged files aside, and make the index agree with the files.")
]


Recompute = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Also have --model compute so many blocks again, and compare every bit."),
]
Model = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="The model that computes, with --recompute.", autocompletion=complete_model),
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=(1 << 31) - 1, metavar="N", help="Which blocks --recompute draws.")
]


def verify(
    repair: Repair = False,
    recompute: Recompute = None,
    model: Model = None,
    seed: Seed = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Check every block on disk, and the index.

    Its checksums, its key and its place in its chain. Changes nothing without --repair, but that --recompute sets
    wrong blocks aside; safe while a daemon runs. Ends with 1 if something is wrong and was not repaired.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.cache.recompute import findings
        from erllama_cli.cache.this_machine import directories_here
        from erllama_cli.drawing.progress import Bar
        from erllama_daemon.errors import EXIT_FAILED

        request = _request(recompute, model, seed)
        with Bar("checking blocks", shown=not quiet) as bar:
            verdict = _look(directories_here().cache, bar.show, repair=repair)
        recomputed = None if request is None else _recomputed(request, quiet=quiet)
        if as_json:
            print_json(_report(verdict, recomputed))
        elif not quiet:
            _print(verdict)
            for line in findings(recomputed) if recomputed is not None else ():
                print(line)
        is_sound = verdict.is_clean or verdict.repaired
        if not (is_sound or as_json or quiet):
            print("Mend it with: erllama cache verify --repair", file=sys.stderr)
        if not is_sound or (recomputed is not None and recomputed.wrong):
            raise typer.Exit(EXIT_FAILED)


def _request(count: int | None, model: str | None, seed: int | None) -> RecomputeRequest | None:
    """What is asked of a model, if anything is; without a seed, each time other blocks. Raises RequestInvalid."""
    from erllama_daemon.errors import RequestInvalid
    from erllama_daemon.messages import RecomputeRequest

    if count is None or model is None:
        if (count, model, seed) != (None, None, None):
            raise RequestInvalid(reason="--recompute and --model go together, and --seed with them")
        return None
    drawn = int.from_bytes(os.urandom(3)) if seed is None else seed
    return RecomputeRequest(model=resolve_model(model), count=count, seed=drawn)


def _recomputed(request: RecomputeRequest, *, quiet: bool) -> Recomputed:
    from erllama_cli.cache.recompute import recompute_blocks
    from erllama_cli.cache.this_machine import directories_here
    from erllama_cli.drawing.progress import Bar
    from erllama_cli.launcher import running_daemon

    with Bar("computing blocks again", shown=not quiet) as bar:
        return recompute_blocks(running_daemon(directories_here(), quiet=quiet), request, bar.show)


def _report(verdict: Verdict, recomputed: Recomputed | None) -> Verdict:
    if recomputed is None:
        return verdict
    from erllama_cli.results.verification import RecomputedVerdict

    return RecomputedVerdict.of(verdict, recomputed)


def _look(directory: Path, on_progress: OnProgress, *, repair: bool) -> Verdict:
    from erllama_cache.errors import CacheUnreadable
    from erllama_cache.tending import verification

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
