"""Finding conversations: by what they are called, or by a text that stands in them."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Iterable, Iterator

from erllama_daemon.errors import SessionAmbiguous, SessionUnknown
from erllama_daemon.messages import SessionSummary
from erllama_daemon.sessions.tree import TurnRow, way_to

_SHOWN = 80
"""So many characters are shown of where a text was found."""
_NEAR = 3
"""So many conversations are suggested."""


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


def find_id(database: sqlite3.Connection, called: str) -> str:
    """The id of the conversation of this name or id, or of the only one whose id begins so.

    Raises SessionUnknown, which suggests names that are near, and SessionAmbiguous.
    """
    rows = database.execute("SELECT id, name, title FROM sessions").fetchall()
    exact = [found for found, name, _title in rows if called in (name, found)]
    begun = exact[:1] or [found for found, _name, _title in rows if called and found.startswith(called)]
    if len(begun) > 1:
        raise SessionAmbiguous(session=called, count=len(begun))
    if not begun:
        raise SessionUnknown(session=called, near=_nearest(called, rows))
    return str(begun[0])


def _nearest(called: str, rows: Iterable[tuple[str, str | None, str]]) -> list[str]:
    """Names, titles and ids that hold what was asked for, or almost are it, out of the id, name and title of each."""
    wanted, known = called.casefold(), {text.casefold(): shown for row in rows for text, shown in _called(*row)}
    holding = [text for text in known if wanted and wanted in text]
    found = [*holding, *difflib.get_close_matches(wanted, known, n=_NEAR)]
    return [*dict.fromkeys(known[text] for text in found)][:_NEAR]


def _called(session_id: str, name: str | None, title: str) -> Iterator[tuple[str, str]]:
    yield session_id, session_id
    if name:
        yield name, repr(name)
    elif title:
        yield title, f"{session_id} ({title})"
