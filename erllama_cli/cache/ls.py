"""`erllama cache ls`: the chains of the cache, or its blocks, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

import typer

from erllama_cli import options
from erllama_cli.cache.chain import chains
from erllama_cli.cache.contents import Contents, ModelOption, SessionOption
from erllama_cli.cache.listed_block import listed_blocks
from erllama_cli.failures import reported_failures
from erllama_cli.fitted import fitted
from erllama_cli.model import short_name
from erllama_cli.one_line import one_line, told_apart
from erllama_cli.output import Table, print_json, print_table, readable_bytes, readable_seconds
from erllama_cli.results.cache import BlockList, Chain, ChainList, ListedBlock
from erllama_daemon.directories import user_directories

EXAMPLES = """\b
Examples:
  erllama cache ls
  erllama cache ls --sort value --limit 10
  erllama cache ls --json | jq -r '.chains[] | select(.chat == null) | .key'"""

Order = Literal["age", "value", "size", "tokens"]
Listed = TypeVar("Listed", Chain, ListedBlock)

_CHAIN_HEADER = ("key", "chat", "model", "tokens", "own", "hits", "age", "value", "pin", "text")
_BLOCK_HEADER = ("key", "kind", "model", "start", "tokens", "size", "hits", "age", "value", "pin", "text")
_EXPENDABLE = ("kind", "start", "hits", "pin", "model", "value", "own", "size", "tokens", "chat", "age")
_NUMERIC = frozenset({"start", "tokens", "own", "size", "hits", "age", "value"})


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
    """Show what is on disk: a row for each conversation and for each other way that blocks end.

    OWN is what only this chain takes, VALUE what keeping its last block is worth (decayed hits + 1, times tokens, a
    MiB): the lowest makes room first. TEXT is the title of a conversation, or how the part begins that is the chain's
    own. Needs no daemon.
    """
    with reported_failures(as_json=as_json, debug=debug):
        contents = Contents.read(user_directories())
        wanted = contents.keys(model=model, session=session)
        if blocks:
            listed = [block for block in listed_blocks(contents) if bytes.fromhex(block.key) in wanted]
            _show_blocks(contents, _sorted(listed, sort)[:limit], as_json=as_json)
        else:
            found = [chain for chain in chains(contents) if bytes.fromhex(chain.key) in wanted]
            if session is not None:
                shown = contents.chat(session).id
                found = [chain for chain in found if chain.chat is not None and chain.chat.id == shown]
            _show_chains(contents, _sorted(found, sort)[:limit], as_json=as_json)


def _sorted(listed: Sequence[Listed], order: Order) -> list[Listed]:
    def rank(each: Listed) -> float:
        if order == "size":
            return each.own_bytes if isinstance(each, Chain) else each.bytes
        return {"age": each.used, "value": each.value, "tokens": each.tokens}[order]

    return sorted(listed, key=lambda each: (-rank(each), -each.used, each.key))


def _show_chains(contents: Contents, shown: list[Chain], *, as_json: bool) -> None:
    if as_json:
        print_json(ChainList(shown))
        return
    texts = told_apart([one_line(chain.chat.title if chain.chat else chain.label) for chain in shown])
    rows = [
        [
            chain.key[: contents.key_digits],
            chain.chat.id if chain.chat else "-",
            _model(chain.model),
            f"{chain.tokens:,}",
            readable_bytes(chain.own_bytes),
            *_use(contents, chain),
            text or "-",
        ]
        for chain, text in zip(shown, texts, strict=True)
    ]
    print_table(fitted(Table(_CHAIN_HEADER, rows, _NUMERIC), _EXPENDABLE))


def _show_blocks(contents: Contents, shown: list[ListedBlock], *, as_json: bool) -> None:
    if as_json:
        print_json(BlockList(shown))
        return
    texts = told_apart([one_line(block.label) for block in shown])
    rows = [
        [
            block.key[: contents.key_digits],
            block.kind,
            _model(block.model),
            f"{block.start:,}",
            f"{block.tokens:,}",
            readable_bytes(block.bytes),
            *_use(contents, block),
            text or "-",
        ]
        for block, text in zip(shown, texts, strict=True)
    ]
    print_table(fitted(Table(_BLOCK_HEADER, rows, _NUMERIC), _EXPENDABLE))


def _use(contents: Contents, listed: Chain | ListedBlock) -> list[str]:
    age = readable_seconds(max(0.0, contents.now - listed.used))
    return [f"{listed.hits:,}", age, f"{listed.value:,.1f}", "*" if listed.pinned else "-"]


def _model(model: str | None) -> str:
    return "?" if model is None else one_line(short_name(model))
