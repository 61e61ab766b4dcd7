"""A quick look at a database of SQLite's, which leaves no file behind that was not there before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

BUSY_TIMEOUT_S = 10.0


@contextmanager
def looked_at(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, to be read for a short time. Raises sqlite3.Error."""
    # Without a log beside it nobody writes in it, and to look at it would make one.
    log = path.with_name(f"{path.name}-wal")
    is_alone = not log.exists() or not log.stat().st_size
    uri = f"{path.absolute().as_uri()}?{'immutable=1' if is_alone else 'mode=ro'}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as database:
        yield database


def quick_look(path: Path) -> tuple[int, str | None]:
    """The version of its tables, and what is wrong with it, None if nothing is.

    Raises sqlite3.OperationalError if it cannot be opened or is in use for too long.
    """
    try:
        with looked_at(path) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            (wrong,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return 0, str(error)
    return int(version), None if wrong == "ok" else " ".join(str(wrong).split())
