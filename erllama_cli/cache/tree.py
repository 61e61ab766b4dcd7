"""`erllama cache tree`: which beginnings are shared, and by which conversations."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.cache.options import ModelOption, SessionOption
from erllama_cli.failures import reported_failures
from erllama_cli.output import print_json

EXAMPLES = """\b
Examples:
  erllama cache tree
  erllama cache tree --model demo --depth 2
  erllama cache tree --json | jq '.roots[].children[] | [.label, .carried]'"""


def tree(
    model: ModelOption = None,
    session: SessionOption = None,
    depth: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Show no more than N parts of a chain after one another.")
    ] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show as a tree which beginnings are shared, and by what.

    So it tells which system prompt carries which conversations. A part is a run of blocks that does not branch: how
    its text begins, its tokens, how long a chain is at its end, its size on disk, how often it was hit, and the
    beginning of its key. Needs no daemon.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.cache.contents import Contents
        from erllama_cli.cache.roots import print_roots, roots
        from erllama_cli.cache.this_machine import directories_here
        from erllama_cli.results.cache import CacheTree

        directories = directories_here()
        contents = Contents.read(directories)
        if model is not None or session is not None:
            contents = contents.only(contents.keys(model=model, session=session))
        shown = CacheTree(str(directories.cache), roots(contents, depth))
        if as_json:
            print_json(shown)
        else:
            print_roots(shown, contents)
