"""What became of responses: under which key the cache has what they ended with."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import sqlite3
import time
from collections import OrderedDict
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from erllama_daemon.directories import create_private

log = logging.getLogger(__name__)

KEPT = 10_000
"""How many responses are remembered, the newest of all."""

_PREFIX = "resp_"
_KEY = re.compile(r"[0-9a-f]{64}")
_BUSY_S = 1.0
_TABLE = "CREATE TABLE IF NOT EXISTS responses (id TEXT PRIMARY KEY, key TEXT, instructions TEXT, created REAL)"


class KnownResponse(NamedTuple):
    """The finish key of a response, and a digest of the instructions that it began with; None if nobody knows."""

    key: str
    instructions: str | None


class ResponseIds:
    """Remembers responses by their ids, in memory and in a small database that a restart outlives. Any thread.

    `resp_` and a finish key is an id too, of any answer. Nothing that was said is written. If the database cannot be
    used, that is logged, and the memory has to do.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: OrderedDict[str, KnownResponse] = OrderedDict()

    def keep(self, response_id: str, known: KnownResponse, *, in_memory: bool) -> None:
        """Remembers what a response ended with; `in_memory`, it is written nowhere."""
        self._known[response_id] = known
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        if not in_memory:
            self._write(response_id, known)

    def find(self, response_id: str) -> KnownResponse | None:
        """What is known of a response."""
        found = self._known.get(response_id) or self._read(response_id)
        if found is None and _KEY.fullmatch(key := response_id.removeprefix(_PREFIX)):
            return KnownResponse(key, None)
        return found

    def _write(self, response_id: str, known: KnownResponse) -> None:
        try:
            create_private(self._path.parent)
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(self._path, timeout=_BUSY_S)) as connection, connection:
                connection.execute(_TABLE)
                connection.execute(
                    "INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?)", (response_id, *known, time.time())
                )
                connection.execute(
                    "DELETE FROM responses WHERE rowid <= (SELECT max(rowid) FROM responses) - ?", (KEPT,)
                )
        except (OSError, sqlite3.Error) as error:
            log.warning("the id of a response is only in memory: %s", error)

    def _read(self, response_id: str) -> KnownResponse | None:
        if not self._path.exists():
            return None
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_S)) as connection:
                row = connection.execute(
                    "SELECT key, instructions FROM responses WHERE id = ?", (response_id,)
                ).fetchone()
        except sqlite3.Error as error:
            log.warning("the ids of responses cannot be read: %s", error)
            return None
        return None if row is None else KnownResponse(*row)


def new_id() -> str:
    """An id for a response that has just begun."""
    return _PREFIX + secrets.token_hex(24)


def id_of_key(key: str) -> str:
    """The id of a response that has ended."""
    return _PREFIX + key


def digest(instructions: str | None) -> str:
    """What instructions are compared by."""
    return hashlib.sha256((instructions or "").encode()).hexdigest()
