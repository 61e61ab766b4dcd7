"""`cache export` and `import`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cache.test_keys import RECORD
from cli.cached_home import ORIGIN, CachedHome, furnish
from cli.conftest import Run
from cli.terminal import Terminal

from erllama_cache.disk.index import INDEX_NAME, Index
from erllama_cache.disk.tier import DiskTier
from erllama_cache.keys import root_key
from erllama_daemon.errors import EXIT_FAILED, EXIT_USAGE
from erllama_daemon.sessions.chats import read_chats
from erllama_daemon.sessions.store import Sessions


@pytest.fixture
def home() -> CachedHome:
    return furnish()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "llamas.tar"


def emptied(home: CachedHome) -> None:
    """The machine of somebody who never had any of it."""
    shutil.rmtree(home.directories.cache)
    shutil.rmtree(home.directories.data)


def json_of(run: Run, *arguments: str, stdin: bytes = b"") -> dict[str, Any]:
    done = run(*arguments, "--json", stdin=stdin)
    assert done.exit_code == 0, done.stderr
    result: dict[str, Any] = msgspec.json.decode(done.stdout)
    return result


def test_a_chat_moves_with_its_messages_and_its_state(run: Run, home: CachedHome, archive: Path) -> None:
    sessions = Sessions(home.directories.sessions)
    session = sessions.get(home.llamas_id)
    sessions.close()
    done = run("cache", "export", home.llamas_id[:6], "-o", str(archive))
    assert done.exit_code == 0
    assert done.stdout.startswith("exported: 1 conversation, 3 blocks, ")
    assert archive.stat().st_mode & 0o777 == 0o600

    emptied(home)
    done = run("cache", "import", str(archive))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"imported: 3 blocks\ngo on with: erllama chat --session {session.id}\n")
    assert "same model file, settings and build" in done.stdout
    sessions = Sessions(home.directories.sessions)
    assert sessions.get(session.id) == session
    sessions.close()
    assert home.keys == {home.system.key, *(block.key for block in home.llamas)}
    assert {origin.model for origin in home.cached.origins.values()} == {"demo"}


def test_a_conversation_that_is_here_is_left_as_it_is_and_the_blocks_come_all_the_same(
    run: Run, home: CachedHome, archive: Path
) -> None:
    run("cache", "export", home.llamas_id, home.rivers_id, home.alone.key.hex(), "-o", str(archive))
    run("cache", "evict", "--session", home.llamas_id)
    chats = read_chats(home.directories.sessions)
    report = json_of(run, "cache", "import", str(archive))
    assert (report["chats"], report["known_chats"]) == ([], [home.llamas_id, home.rivers_id])
    assert (report["blocks"], report["known_blocks"]) == (2, 3)
    assert read_chats(home.directories.sessions) == chats
    assert f"the conversation {home.llamas_id} is here already" in run("cache", "import", str(archive)).stdout


def test_a_conversation_whose_state_has_lost_its_beginning_moves_without_it(
    run: Run, home: CachedHome, archive: Path
) -> None:
    index = Index(home.directories.cache / INDEX_NAME)
    index.delete([home.llamas[0].key])
    index.close()
    assert run("cache", "export", home.llamas[1].key.hex(), "-o", str(archive)).exit_code == EXIT_FAILED
    assert run("cache", "pin", home.llamas_id).exit_code == EXIT_FAILED
    report = json_of(run, "cache", "export", home.llamas_id, "-o", str(archive))
    assert (report["chats"], report["blocks"]) == ([home.llamas_id], 0)
    emptied(home)
    assert json_of(run, "cache", "import", str(archive))["chats"] == [home.llamas_id]


def test_an_archive_goes_through_pipes(run: Run, home: CachedHome) -> None:
    packed = run("cache", "export", home.rivers_id, "-o", "-").stdout_bytes
    emptied(home)
    assert json_of(run, "cache", "import", "-", stdin=packed)["chats"] == [home.rivers_id]
    assert home.keys == {home.system.key, home.rivers.key}


def test_a_conversation_without_state_moves_alone(run: Run, home: CachedHome, archive: Path) -> None:
    run("cache", "clear")
    assert json_of(run, "cache", "export", home.llamas_id, "-o", str(archive))["blocks"] == 0
    emptied(home)
    assert json_of(run, "cache", "import", str(archive), "--model", "/m/other.gguf")["chats"] == [home.llamas_id]
    (chat,) = read_chats(home.directories.sessions)
    assert chat.model == "/m/other.gguf"
    shutil.rmtree(home.directories.data)
    assert (
        "its model is not here: /m/other.gguf\n"
        in run("cache", "import", str(archive), "--model", "/m/other.gguf").stdout
    )
    assert not home.directories.cache.exists()


def test_a_file_is_replaced_only_by_force(run: Run, home: CachedHome, archive: Path) -> None:
    archive.write_text("mine")
    done = run("cache", "export", home.llamas_id, "-o", str(archive))
    assert done.exit_code == EXIT_USAGE
    assert "--force" in done.stderr
    assert archive.read_text() == "mine"
    assert run("cache", "export", home.llamas_id, "-o", str(archive), "--force", "-q").stdout == ""
    assert archive.read_bytes() != b"mine"


def test_a_link_that_is_written_over_stays_one(run: Run, home: CachedHome, archive: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(archive)
    assert run("cache", "export", home.llamas_id, "-o", str(link), "--force").exit_code == 0
    assert (link.is_symlink(), archive.is_file()) == (True, True)


def test_where_no_file_can_be_is_named_and_nothing_is_left(run: Run, home: CachedHome, tmp_path: Path) -> None:
    done = run("cache", "export", home.llamas_id, "-o", str(tmp_path / "none" / "a.tar"))
    assert done.exit_code == EXIT_FAILED
    assert "cannot be written" in done.stderr
    assert not list(tmp_path.iterdir())


def test_standard_output_takes_one_thing_and_no_terminal(run: Run, home: CachedHome, terminals: list[Terminal]) -> None:
    assert run("cache", "export", home.llamas_id, "-o", "-", "--json").exit_code == EXIT_USAGE
    terminals.append(Terminal("cache", "export", home.llamas_id, "-o", "-"))
    code, said = terminals[0].rest()
    assert code == EXIT_USAGE
    assert "nothing for a terminal" in said


def test_what_is_no_archive_changes_nothing(run: Run, user_home: Path, archive: Path) -> None:
    archive.write_bytes(b"noise" * 1000)
    done = run("cache", "import", str(archive))
    assert done.exit_code == EXIT_FAILED
    assert str(archive) in done.stderr
    archive.unlink()
    assert f"{archive} cannot be read: No such file or directory." in run("cache", "import", str(archive)).stderr
    assert not list(user_home.rglob("erllama"))


def test_it_says_what_this_machine_makes_otherwise_of_the_same_model(run: Run, home: CachedHome, archive: Path) -> None:
    run("cache", "export", home.llamas_id, "-o", str(archive))
    emptied(home)
    record = msgspec.structs.replace(RECORD, threads=RECORD.threads + 6)
    disk = DiskTier(home.directories.cache, 1 << 30)
    disk.open()
    disk.origins.note(root_key(record), msgspec.structs.replace(ORIGIN, record=record))
    disk.close()
    report = json_of(run, "cache", "import", str(archive))
    assert report["differences"] == [f"threads: {RECORD.threads} there, {RECORD.threads + 6} here"]


def test_a_quota_that_is_too_small_is_named_and_the_conversation_comes_all_the_same(
    run: Run, home: CachedHome, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("cache", "export", home.llamas_id, "-o", str(archive))
    emptied(home)
    monkeypatch.setattr("erllama_cli.cache.incoming.disk_quota", lambda _directories: 1)
    done = run("cache", "import", str(archive))
    assert done.exit_code == EXIT_FAILED
    assert "does not fit" in done.stderr
    assert [chat.id for chat in read_chats(home.directories.sessions)] == [home.llamas_id]


def test_a_damaged_block_is_not_exported(run: Run, home: CachedHome, archive: Path) -> None:
    path = next(home.directories.cache.rglob(f"{home.llamas[0].key.hex()}.kv"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    done = run("cache", "export", home.llamas_id, "-o", str(archive))
    assert done.exit_code == EXIT_FAILED
    assert "damaged" in done.stderr
    assert not archive.exists()
