"""A conversation that goes, with all that only it left in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from erllama_cache.disk.row import Row
from erllama_cache.tending.holdings import Holdings
from erllama_cache.tending.survey import Survey, survey
from erllama_daemon.messages import DeletedSession
from erllama_daemon.sessions.chats import Chat, find_chat
from erllama_daemon.sessions.store import Sessions


@dataclass(frozen=True, slots=True)
class Removal:
    """What went, and the keys of the blocks, which the loaded models are to forget too."""

    deleted: DeletedSession
    keys: list[bytes]


def delete_with_blocks(sessions: Sessions, session_id: str, cache: Path) -> Removal:
    """Deletes a conversation, and before it the blocks that no other conversation needs.

    The blocks go first: whoever is stopped between the two can delete the conversation again, but could not find them.
    Raises SessionUnknown, and what changing the cache raises.
    """
    session = sessions.get(session_id)
    chats = sessions.chats()
    keys, gone = list[bytes](), list[Row]()
    if any(chat.id == session_id for chat in chats):
        chat = find_chat(chats, session_id)
        keys, rows = own_keys(chat, chats), own_rows(survey(cache), chat, chats)
        if rows:
            with Holdings(cache) as holdings:
                gone = holdings.let_go(rows, even_pinned=True)
                holdings.compact()  # the index holds how their texts begin
    deleted = DeletedSession(
        id=session_id,
        called=session.called,
        turns=sessions.delete(session_id),
        blocks=len(gone),
        bytes=sum(row.file_bytes for row in gone),
    )
    # What the cache did not take is in memory alone, and would be saved when it leaves that.
    return Removal(deleted, [*dict.fromkeys((*keys, *(row.key for row in gone)))])


def own_keys(chat: Chat, chats: list[Chat]) -> list[bytes]:
    """The finish keys of the turns that no other conversation has."""
    others = {key for other in chats if other.id != chat.id for key in other.all_keys}
    return [key for key in chat.all_keys if key not in others]


def own_rows(found: Survey, chat: Chat, chats: list[Chat]) -> list[Row]:
    """The blocks that hold what was said in one conversation alone, in the order in which they can go.

    That is its turns, what came after them without an answer, and the blocks before them that nobody else extends and
    nobody pinned for their own sake.
    """
    # A turn of which nothing was stored, or a forged one, may name a root, from which other prompts begin too.
    ends = [key for key in own_keys(chat, chats) if key not in found.roots]
    said = {key for end in ends for key in (end, *(row.key for row in found.descendants(end)))}
    own = said.union(row.key for end in ends for row in found.chain(end))
    others = {key for other in chats if other.id != chat.id for key in other.all_keys}
    pinned = {key for key in own - said if found.rows[key].is_pinned}
    needed = {row.key for key in others | pinned for row in found.chain(key)}
    return found.removable(own - needed, even_pinned=True)
