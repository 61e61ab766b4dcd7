"""A small cache that nobody computed: rows of an index, origins and conversations, as the commands find them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from said import say

from erllama_cache.block import SaveReason
from erllama_cache.disk.index import INDEX_NAME, Index
from erllama_cache.disk.origins import AdapterOrigin, Origin, Origins
from erllama_cache.disk.row import Row
from erllama_cache.keys import BlockKind, RootRecord
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import Message
from erllama_daemon.sessions.store import Sessions

DAY_S = 86_400.0
HALF_AN_HOUR_S = 1800.0
"""Ages end in it, so that no test comes near the next hour."""

DEMO = hashlib.sha256(b"demo").digest()
RECORD = RootRecord(
    format_version=2,
    fingerprint="ab" * 32,
    type_k="f16",
    type_v="f16",
    flash_attention="auto",
    rope={},
    block_tokens=256,
    build="1",
    backend="llama.cpp cpu",
    threads=2,
)


@dataclass(frozen=True)
class MadeUpCache:
    """What a test puts into the user's folders."""

    index: Index
    sessions: Sessions
    origins: Origins

    def block(
        self,
        label: str,
        n_tokens: int,
        after: Row | None = None,
        *,
        root: bytes = DEMO,
        kib: int = 512,
        days: int = 1,
        hits: int = 0,
        is_pinned: bool = False,
        parent: bytes | None = None,
        start: int = 0,
    ) -> Row:
        """A block of so many tokens, used that many days ago. Its key commits to its label and to what it extends."""
        parent = parent or (after.key if after else root)
        row = Row(
            key=hashlib.sha256(parent + label.encode()).digest(),
            parent=parent,
            root=after.root if after else root,
            kind=BlockKind.PREFILL,
            start=after.end if after else start,
            n_tokens=n_tokens,
            file_bytes=kib << 10,
            has_logits=False,
            reason=SaveReason.COLD,
            created=1000.0,
            used=time.time() - days * DAY_S - HALF_AN_HOUR_S,
            cost_s=0.5,
            hits=hits,
            is_pinned=is_pinned,
            label=label,
        )
        self.index.insert([row], may_be_orphans=True)
        return row

    def chat(self, title: str, *turns: Row) -> str:
        """A conversation whose turns end with these blocks; gives its id."""
        session = self.sessions.create("demo")
        said = [Message("user", [title])]
        self.sessions.ask(session.id, said)
        for turn in turns:
            say(self.sessions, session.id, said, b"\0" * 4 * turn.end, turn.key)
        return session.id

    def origin(
        self, model: str, *adapters: AdapterOrigin, root: bytes = DEMO, file: str = "cd", record: RootRecord = RECORD
    ) -> None:
        """Where a root comes from."""
        origin = Origin(model=model, model_fingerprint=file * 32, adapters=list(adapters), record=record)
        self.origins.note(root, origin)


@contextmanager
def made_up_cache() -> Iterator[MadeUpCache]:
    """An empty one in the user's folders."""
    directories = user_directories()
    directories.cache.mkdir(parents=True)
    with closing(Index(directories.cache / INDEX_NAME)) as index, closing(Sessions(directories.sessions)) as sessions:
        index.open()
        yield MadeUpCache(index, sessions, Origins(directories.cache))


def two_chats_of_a_pirate(cache: MadeUpCache) -> tuple[str, str]:
    """A system prompt of two blocks that carries two conversations and a prompt, and something else beside it."""
    cache.origin("demo")
    system = cache.block("<|im_start|>system\nYou are a\tterse pirate.", 256, hits=4, kib=1024)
    system = cache.block("and so on", 44, system, hits=4, kib=1024, is_pinned=True)
    treasure = cache.block("<|im_start|>user\nWhere is the treasure?", 25, system, days=2)
    answer = cache.block("\nArrr, below", 8, treasure, days=2, hits=1)
    rum = cache.block("<|im_start|>user\nWhere is the rum?", 20, system, days=3)
    cache.block("<|im_start|>user\nWho are you?", 18, system, days=4, kib=256)
    cache.block("Why do llamas hum?", 37, days=5)
    return cache.chat("Where is the treasure?", treasure, answer), cache.chat("Where is the rum?", rum)
