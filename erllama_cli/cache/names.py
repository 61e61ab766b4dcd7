"""What people call a chain: a conversation by its id, or a block by its key; the beginning of either will do."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli.completion.candidates import complete_chat_or_key

if TYPE_CHECKING:
    from erllama_daemon.sessions.chats import Chat

Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME|KEY...",
        help="A conversation's name or id, or a block's key; the beginning of an id or key will do.",
        autocompletion=complete_chat_or_key,
    ),
]


def find_named(name: str, chats: Collection[Chat], keys: Collection[bytes]) -> Chat | bytes:
    """The conversation or the key that `name` is or, alone, begins. Raises NameUnknown and NameAmbiguous."""
    from erllama_daemon.errors import NameAmbiguous, NameUnknown

    found: list[Chat | bytes] = [chat for chat in chats if name and (chat.name == name or chat.id.startswith(name))]
    for chat in chats:
        if name in (chat.name, chat.id):
            return chat
    found += [key for key in keys if name and key.hex().startswith(name.lower())]
    if not found:
        raise NameUnknown(name=name)
    if len(found) > 1:
        raise NameAmbiguous(name=name, count=len(found))
    return found[0]
