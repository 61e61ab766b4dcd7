"""Kills itself, again and again, at a chosen point of what it does with a database; says what had returned before.

Run with the name of what to do, a folder, and the points: `python killed.py talk FOLDER statements 0 1 2 …`. For each
point a child process works on `FOLDER/POINT/sessions.sqlite3` and writes what returned to `FOLDER/POINT/said`.
"""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from erllama_cache.keys import pack_tokens
from erllama_daemon.messages import Message
from erllama_daemon.sessions.ballast import Ballast
from erllama_daemon.sessions.schema import open_database
from erllama_daemon.sessions.store import Sessions
from erllama_daemon.sessions.turn import Turn

LINE = "{action} {session} {turn} {text}\n"


def die_after_statements(count: int) -> None:
    """The process is killed before the statement of this number that any database is given from now on."""
    left = count

    def begun(_statement: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _on_connect(lambda database: database.set_trace_callback(begun))


def die_after_steps(count: int) -> None:
    """The process is killed in the middle of a statement: after so many steps of SQLite's machine."""
    left = count

    def step() -> int:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    _on_connect(lambda database: database.set_progress_handler(step, 1))


def die_at_bytes(count: int) -> None:
    """The process is killed in the middle of a write: by the first that makes a file larger than so many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, resource.RLIM_INFINITY))


def _on_connect(watch: Callable[[sqlite3.Connection], None]) -> None:
    connect = sqlite3.connect

    def connect_watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        database: sqlite3.Connection = connect(*arguments, **options)
        watch(database)
        return database

    sqlite3.connect = connect_watched  # type: ignore[assignment]


def migrate(path: Path, _say: Callable[..., None]) -> None:
    """Opens a database, of the first version perhaps."""
    open_database(path).close()


def talk(path: Path, say: Callable[..., None]) -> None:
    """Every kind of change, the same in every process. What returned is said at once."""
    sessions = Sessions(path)
    # A limit to what is written leaves it alone.
    sessions._turns.ballast = Ballast(path.with_name("sessions.ballast"), 4096)
    ids = [sessions.create("demo").id for _ in range(2)]
    for number in range(8):
        for session in ids:
            text = f"{number} of {ids.index(session)} " + "." * 700
            sessions.ask(session, [Message("user", [text])])
            say("asked", session, 0, text)
            turn = Turn(
                after=sessions.get(session).turn,
                messages=[Message("user", [text]), Message("assistant", [text[::-1]])],
                tokens=pack_tokens(range(100 * number + 100)),
                finish_key=bytes([number]) * 32,
                fingerprint="f",
            )
            say("wrote", session, sessions.add_turn(session, turn), text)
        if number == 3:
            sessions.go_to(ids[0], "2")
            say("went", ids[0], 2, "")
            say("forked", sessions.fork(ids[0], turn="1").id, 1, "")
        if number == 5:
            sessions.delete(ids[1])
            say("deleted", ids[1], 0, "")
            ids.pop()
    sessions.close()
    say("closed", "-", 0, "")


def main(what: str, folder: str, how: str, *points: str) -> None:
    work = {"migrate": migrate, "talk": talk}[what]
    limit = {"statements": die_after_statements, "steps": die_after_steps, "bytes": die_at_bytes}[how]
    for point in points:
        here = Path(folder) / point
        here.mkdir(exist_ok=True)
        child = os.fork()
        if child == 0:
            handle = os.open(here / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

            def say(action: str, session: str, turn: int, text: str, to: int = handle) -> None:
                os.write(to, LINE.format(action=action, session=session, turn=turn, text=text).encode())

            limit(int(point))
            work(here / "sessions.sqlite3", say)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
