"""`erllama cache evict`: what a model holds live goes into the cache; what nobody needs leaves the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.cache.disk_options import DiskOptions
from erllama_cli.completion.candidates import complete_model
from erllama_cli.failures import reported_failures
from erllama_cli.model import model_name
from erllama_cli.options.groups import with_option_groups
from erllama_cli.output import counted, print_json

if TYPE_CHECKING:
    from erllama_daemon.directories import Directories
    from erllama_daemon.messages import Evicted

EXAMPLES = """\b
Examples:
  erllama cache evict demo
  erllama cache evict --bytes 2GiB
  erllama cache evict --older-than 30d --model demo --dry-run
  erllama cache evict --session 3f2a --json | jq .bytes"""


@with_option_groups
def evict(
    disk: DiskOptions,
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="What it holds live is saved.", autocompletion=complete_model),
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Save what a model holds live; or delete blocks from the disk.

    With MODEL: what it holds live is let go, the model stays loaded, and everything is in the cache when the
    command returns. With options instead: the blocks that answer to all of them go from disk and memory, but none
    that is pinned or that another one which stays extends. Nothing is lost but time. Starts no daemon.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.cache.eviction import delete
        from erllama_cli.cache.this_machine import directories_here
        from erllama_daemon.messages import Evicted

        directories = directories_here()
        report = delete(disk, directories, quiet=quiet) if model is None else _save_live(model, disk, directories)
        if as_json:
            print_json(report)
        elif not quiet:
            print(_live(report) if isinstance(report, Evicted) else report)


def _live(evicted: Evicted) -> str:
    if not evicted.sequences:
        return "nothing was held live"
    return f"{counted(evicted.sequences, 'live sequence')} let go, {counted(evicted.saved, 'more block')} saved on disk"


def _save_live(model: str, disk: DiskOptions, directories: Directories) -> Evicted:
    from erllama_cli.client import Client
    from erllama_daemon.errors import RequestInvalid
    from erllama_daemon.messages import Evicted, ModelRequest

    if disk.is_given:
        raise RequestInvalid(reason="MODEL saves what it holds live, the options delete blocks on disk: give only one")
    client = Client(directories)
    request = ModelRequest(model=model_name(model))
    return client.evict(request) if client.answers() else Evicted(sequences=0, saved=0)
