"""A user with a small cache and two conversations, made without a model."""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import patch

from cache.samples import OTHER_ROOT, ROOT, make_block, make_chain
from cache.test_keys import RECORD
from said import say

from erllama_cache.block import Block
from erllama_cache.disk.origins import Origin
from erllama_cache.disk.tier import DiskTier
from erllama_cache.tending.survey import Survey, survey
from erllama_daemon.directories import Directories, user_directories
from erllama_daemon.messages import Message
from erllama_daemon.sessions.store import Sessions

QUOTA = 1 << 30
LLAMAS, RIVERS = "3f2a77c1", "b0b0cafe"
ORIGIN = Origin(model="demo", model_fingerprint="00" * 32, record=RECORD)


@dataclass(frozen=True)
class CachedHome:
    """`system` carries both chats: `llamas` two more blocks, `rivers` one. `alone` is another model's."""

    directories: Directories
    system: Block
    llamas: list[Block]
    rivers: Block
    alone: Block
    llamas_id: str = LLAMAS
    rivers_id: str = RIVERS

    @property
    def cached(self) -> Survey:
        return survey(self.directories.cache)

    @property
    def keys(self) -> set[bytes]:
        return set(self.cached.rows)


def furnish() -> CachedHome:
    directories = user_directories()
    system, *llamas = make_chain([1, 2], [3], [4])
    rivers, alone = make_block([9], system), make_block([5], root=OTHER_ROOT)
    directories.cache.mkdir()
    disk = DiskTier(directories.cache, QUOTA)
    disk.open()
    for block in (system, *llamas, rivers, alone):
        disk.publish(block)
    disk.origins.note(ROOT, ORIGIN)
    disk.origins.note(OTHER_ROOT, Origin(model="/models/b.gguf", model_fingerprint="11" * 32, record=RECORD))
    disk.close()
    sessions = Sessions(directories.sessions)
    _chat(sessions, LLAMAS, "Llamas?", llamas)
    _chat(sessions, RIVERS, "Rivers?", [rivers])
    sessions.close()
    return CachedHome(directories, system, llamas, rivers, alone)


def _chat(sessions: Sessions, name: str, question: str, ends: list[Block]) -> None:
    with patch("erllama_daemon.sessions.store.secrets.token_hex", return_value=name):
        session = sessions.create("demo")
    said = [Message("user", [question]), Message("assistant", ["Yes."])]
    sessions.ask(session.id, said[:1])
    for block in ends:
        say(sessions, session.id, said, bytes(4 * block.end), block.key, "00" * 32)
