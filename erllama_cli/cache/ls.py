"""`erllama cache ls`: the chains of the cache, or its blocks, one a line."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.cache.options import ModelOption, Order, SessionOption
from erllama_cli.failures import reported_failures

EXAMPLES = """\b
Examples:
  erllama cache ls
  erllama cache ls --sort value --limit 10
  erllama cache ls --json | jq -r '.chains[] | select(.chat == null) | .key'"""


def ls(
    model: ModelOption = None,
    session: SessionOption = None,
    sort: Annotated[Order, typer.Option(help="What comes first: the newest, or the most of something.")] = "age",
    blocks: Annotated[bool, typer.Option("--blocks", help="Show each block instead of each chain.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Show no more than the first N.")
    ] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show what is on disk: each conversation, and what else there is.

    A row is a conversation, or another way that blocks end. OWN is what only this chain takes, VALUE what keeping
    its last block is worth (decayed hits + 1, times tokens, a MiB): the lowest makes room first. TEXT is the title
    of a conversation, or how the part begins that is the chain's own. Needs no daemon.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.cache.chain import chains
        from erllama_cli.cache.contents import Contents
        from erllama_cli.cache.listed_block import listed_blocks
        from erllama_cli.cache.listing import in_order, show_blocks, show_chains
        from erllama_cli.cache.this_machine import directories_here

        contents = Contents.read(directories_here())
        wanted = contents.keys(model=model, session=session)
        if blocks:
            listed = [block for block in listed_blocks(contents) if bytes.fromhex(block.key) in wanted]
            show_blocks(contents, in_order(listed, sort)[:limit], as_json=as_json)
        else:
            found = [chain for chain in chains(contents) if bytes.fromhex(chain.key) in wanted]
            if session is not None:
                shown = contents.chat(session).id
                found = [chain for chain in found if chain.chat is not None and chain.chat.id == shown]
            show_chains(contents, in_order(found, sort)[:limit], as_json=as_json)
