"""The chains of the cache: one for each way that blocks end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from erllama_cli.cache.contents import Contents
from erllama_cli.results.cache import Chain, ChatName

if TYPE_CHECKING:
    from erllama_cache.disk.row import Row


def chains(contents: Contents) -> list[Chain]:
    """All chains, in no order. Two conversations that end with the same block are two chains."""
    rows = contents.survey.rows
    ends = contents.ends
    # A conversation also holds what its template rewrote since.
    holders = {
        key: ChatName(chat.id, chat.name or chat.title) for chat in reversed(contents.chats) for key in chat.all_keys
    }
    last: list[tuple[Row, ChatName | None]] = [(rows[key], chat) for key, chats in ends.items() for chat in chats]
    last += [(row, holders.get(row.key)) for row in contents.survey.leaves if row.key not in ends]
    by_start = sorted(rows.values(), key=lambda row: row.start)
    users = Counter(row.key for row, _chat in last)
    for row in reversed(by_start):
        users[row.parent] += users[row.key]
    blocks: dict[bytes, int] = {}
    sizes: dict[bytes, int] = {}
    for row in by_start:
        blocks[row.key] = blocks.get(row.parent, 0) + 1
        sizes[row.key] = sizes.get(row.parent, 0) + row.file_bytes
    return [
        _chain(contents, row, chat, own=_own(contents, row, users), blocks=blocks[row.key], size=sizes[row.key])
        for row, chat in last
    ]


def _own(contents: Contents, row: Row, users: Counter[bytes]) -> list[Row]:
    """The blocks that only the chain to `row` uses, the last one first."""
    rows, own = contents.survey.rows, []
    parent: Row | None = row
    while parent is not None and users[parent.key] == 1:
        own.append(parent)
        parent = rows.get(parent.parent)
    return own


def _chain(contents: Contents, row: Row, chat: ChatName | None, *, own: list[Row], blocks: int, size: int) -> Chain:
    return Chain(
        key=row.key.hex(),
        parent=row.parent.hex(),
        root=row.root.hex(),
        chat=chat,
        model=contents.model(row.root),
        tokens=row.end,
        blocks=blocks,
        bytes=size,
        own_bytes=sum(each.file_bytes for each in own),
        hits=row.hits,
        created=row.created,
        used=row.used,
        value=row.value(contents.now),
        pinned=row.is_pinned,
        label=(own[-1] if own else row).label,
    )
