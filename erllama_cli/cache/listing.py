"""The chains of the cache, or its blocks, as a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TypeVar

from erllama_cli.cache.contents import Contents
from erllama_cli.cache.options import Order
from erllama_cli.fitted import fitted
from erllama_cli.model import short_name
from erllama_cli.one_line import one_line, told_apart
from erllama_cli.output import Table, print_json, print_table, readable_bytes, readable_seconds
from erllama_cli.results.cache import BlockList, Chain, ChainList, ListedBlock

Listed = TypeVar("Listed", Chain, ListedBlock)

_CHAIN_HEADER = ("key", "chat", "model", "tokens", "own", "hits", "age", "value", "pin", "text")
_BLOCK_HEADER = ("key", "kind", "model", "start", "tokens", "size", "hits", "age", "value", "pin", "text")
_EXPENDABLE = ("kind", "start", "hits", "pin", "model", "value", "own", "size", "tokens", "chat", "age")
_NUMERIC = frozenset({"start", "tokens", "own", "size", "hits", "age", "value"})


def in_order(listed: Sequence[Listed], order: Order) -> list[Listed]:
    """The newest first, or those with the most of something."""

    def rank(each: Listed) -> float:
        if order == "size":
            return each.own_bytes if isinstance(each, Chain) else each.bytes
        return {"age": each.used, "value": each.value, "tokens": each.tokens}[order]

    return sorted(listed, key=lambda each: (-rank(each), -each.used, each.key))


def show_chains(contents: Contents, shown: list[Chain], *, as_json: bool) -> None:
    """Print them in this order."""
    if as_json:
        print_json(ChainList(shown))
        return
    if _is_told_empty(contents, shown):
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


def show_blocks(contents: Contents, shown: list[ListedBlock], *, as_json: bool) -> None:
    """Print them in this order."""
    if as_json:
        print_json(BlockList(shown))
        return
    if _is_told_empty(contents, shown):
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


def _is_told_empty(contents: Contents, shown: Sequence[Listed]) -> bool:
    """Whether there is nothing to show, of which a terminal is told; a pipe gets the header all the same."""
    if shown or not sys.stdout.isatty():
        return False
    print("Nothing in the cache is so." if contents.survey.rows else "There is nothing in the cache.", file=sys.stderr)
    return True


def _use(contents: Contents, listed: Chain | ListedBlock) -> list[str]:
    age = readable_seconds(max(0.0, contents.now - listed.used))
    return [f"{listed.hits:,}", age, f"{listed.value:,.1f}", "*" if listed.pinned else "-"]


def _model(model: str | None) -> str:
    return "?" if model is None else one_line(short_name(model))
