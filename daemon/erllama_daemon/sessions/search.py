"""The conversations as a list, all of them or those in which a text stands."""

from __future__ import annotations

import sqlite3

from erllama_daemon.messages import SessionSummary
from erllama_daemon.sessions.tree import TurnRow, way_to

_SHOWN = 80
"""So many characters are shown of where a text was found."""


def summaries(database: sqlite3.Connection, text: str) -> list[SessionSummary]:
    """Those in which something was said, the one used last first.

    With a text, only those in whose name, title or messages it stands, whatever its case.
    """
    wanted, found = text.casefold(), []
    for id_, name, title, model, created, updated, head in database.execute(
        "SELECT id, name, title, model, created, updated, head FROM sessions"
        " WHERE title != '' ORDER BY updated DESC, rowid DESC"
    ).fetchall():
        way = way_to(database, head)
        place = _place(wanted, [name or "", title], way) if wanted else None
        if wanted and place is None:
            continue
        found.append(
            SessionSummary(
                id=id_,
                name=name,
                title=title,
                model=model,
                created=created,
                updated=updated,
                turns=len(way),
                tokens=way[-1].end if way else 0,
                finish_key=way[-1].finish_key.hex() if way else None,
                found=place,
            )
        )
    return found


def _place(wanted: str, names: list[str], way: list[TurnRow]) -> str | None:
    """Where a text stands, with what is around it; None if it stands nowhere."""
    for text in (*(message.text for turn in way for message in turn.messages), *names):
        at = text.casefold().find(wanted)
        if at >= 0:
            start = max(0, at - (_SHOWN - len(wanted)) // 2)
            return " ".join(text[start : start + _SHOWN].split())
    return None
