"""A kill at any moment leaves a sound database in which everything is that a call had returned for."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from daemon.first_version import fill_first_version

from erllama_daemon.sessions.schema import VERSION, open_database, version_of
from erllama_daemon.sessions.store import Sessions

SCRIPT = Path(__file__).with_name("killed.py")
LAST_WORDS = "5 of 1"
"""How the last turn begins before its conversation is deleted."""
STATEMENTS, STEPS, BYTES = range(0, 330, 11), range(100, 16_000, 800), range(8192, 500_000, 24_611)


def run_killed(what: str, folder: Path, how: str, points: range) -> None:
    command = [sys.executable, str(SCRIPT), what, str(folder), how, *map(str, points)]
    subprocess.run(command, check=True, timeout=120, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})


def check_all_is_there(folder: Path) -> str | None:
    """Opens a database whose process was killed; gives the last that had returned in it."""
    said = [line.split(" ", 3) for line in (folder / "said").read_text().splitlines()]
    sessions = Sessions(folder / "sessions.sqlite3")
    database = sessions._database.connection
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert sessions.notice() is None
    deleted = {session for action, session, _turn, _text in said if action == "deleted"}
    if said and said[-1][0] == "wrote" and said[-1][3].startswith(LAST_WORDS):
        deleted.add(said[-1][1])  # that may just have been done
    kept = {summary.id for summary in sessions.summaries()}
    turns = {turn.id: turn.messages[0].text for session in kept for turn in sessions.turns(session)}
    for action, session, turn, text in said:
        if session in deleted:
            continue
        if action == "wrote":
            assert turns[int(turn)] == text
        elif action == "forked":
            assert sessions.get(session).turns == int(turn)
        elif action == "asked":
            waiting = sessions.get(session).unanswered
            assert text in turns.values() or (waiting is not None and waiting.text == text)
    sessions.close()
    return said[-1][0] if said else None


@pytest.mark.parametrize(("how", "points"), [("statements", STATEMENTS), ("steps", STEPS), ("bytes", BYTES)])
def test_what_had_returned_before_a_kill_is_there(tmp_path: Path, how: str, points: range) -> None:
    run_killed("talk", tmp_path, how, points)
    last = [check_all_is_there(tmp_path / str(point)) for point in points]
    assert last[0] is None
    assert len({*last} & {"asked", "wrote", "went", "forked", "deleted"}) >= 2


def test_a_kill_at_any_statement_of_a_migration_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite3"
    fill_first_version(old, sessions=3, turns=4)
    points = range(50)
    for point in points:
        (tmp_path / str(point)).mkdir()
        shutil.copy(old, tmp_path / str(point) / "sessions.sqlite3")
    run_killed("migrate", tmp_path, "statements", points)
    versions = set()
    for point in points:
        path = tmp_path / str(point) / "sessions.sqlite3"
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            version = version_of(database)
            names = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            assert ("rescues" in names) == (version == VERSION)
            assert not {"old_turns", "old_sessions"} & names
            assert database.execute("SELECT count(*) FROM turns").fetchone() == (12,)
            versions.add(version)
        open_database(path).close()
        sessions = Sessions(path)
        assert sessions.notice() is None
        assert [summary.turns for summary in sessions.summaries()] == [4, 4, 4]
        sessions.close()
    assert versions == {0, VERSION}
