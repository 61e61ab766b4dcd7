"""The blocks of one root as a tree, in which a run of blocks that does not branch is one node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from erllama_cli.cache.contents import Contents
from erllama_cli.results.cache import ChatName, Node

if TYPE_CHECKING:
    from erllama_cache.disk.row import Row


def nodes(contents: Contents) -> dict[bytes, list[Node]]:
    """The first nodes of each root, the one used last first.

    One that does not start at 0 cannot be reached: what it extends is gone.
    """
    rows = contents.survey.rows
    children: dict[bytes, list[Node]] = {}
    first: dict[bytes, list[Node]] = {}
    # From the ends to the beginnings, so that what extends a block is known before it.
    for row in sorted(rows.values(), key=lambda row: -row.start):
        chats, extensions = contents.ends.get(row.key, []), children.pop(row.key, [])
        is_run = not (chats or row.is_pinned) and len(extensions) == len(contents.whole.children(row.key)) == 1
        node = _extended(row, extensions[0]) if is_run else _node(row, chats, extensions)
        if row.parent in rows:
            children.setdefault(row.parent, []).append(node)
        else:
            first.setdefault(row.root, []).append(node)
    return {root: _by_use(found) for root, found in first.items()}


def pruned(node: Node, depth: int) -> Node:
    """`node` without what lies deeper than `depth` nodes, itself counted."""
    children = [pruned(child, depth - 1) for child in node.children] if depth > 1 else []
    return msgspec.structs.replace(node, children=children)


def _extended(row: Row, rest: Node) -> Node:
    """The run that begins with one block more."""
    return msgspec.structs.replace(
        rest,
        label=row.label,
        start=row.start,
        blocks=rest.blocks + 1,
        bytes=rest.bytes + row.file_bytes,
        hits=max(rest.hits, row.hits),
        used=max(rest.used, row.used),
    )


def _node(row: Row, chats: list[ChatName], children: list[Node]) -> Node:
    return Node(
        key=row.key.hex(),
        label=row.label,
        start=row.start,
        end=row.end,
        blocks=1,
        bytes=row.file_bytes,
        hits=row.hits,
        pinned=row.is_pinned,
        used=max([row.used, *(child.used for child in children)]),
        chats=chats,
        carried=len(chats) + sum(child.carried for child in children),
        blocks_below=sum(child.blocks + child.blocks_below for child in children),
        children=_by_use(children),
    )


def _by_use(found: list[Node]) -> list[Node]:
    return sorted(found, key=lambda node: (-node.used, node.key))
