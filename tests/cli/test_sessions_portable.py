"""`sessions export` and `import`."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli.cached_home import LLAMAS, RIVERS, CachedHome, furnish
from cli.conftest import Run
from said import say

from erllama_daemon.errors import EXIT_FAILED, EXIT_USAGE
from erllama_daemon.messages import Message, SessionTurn, ToolCall
from erllama_daemon.sessions.chats import read_chats
from erllama_daemon.sessions.store import Sessions
from erllama_daemon.sessions.transcript import read_transcript

NAME = 'the "build": why 👩‍💻'
FOREIGN = {
    "model": "gpt",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is\na llama?"},
        {"role": "assistant", "content": [{"type": "text", "text": "An "}, {"type": "text", "text": "animal."}]},
        {"role": "user", "content": "Where?"},
    ],
}


@pytest.fixture
def home() -> CachedHome:
    """A home where one conversation has a name, and turns that it went back from."""
    made = furnish()
    with_sessions(made, lambda sessions: sessions.change(LLAMAS, name=NAME))
    with_sessions(made, lambda sessions: sessions.go_to(LLAMAS, "1"))
    went_on(made, "And?", b"k" * 32)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept.json"


def with_sessions(home: CachedHome, act: Any) -> Any:
    sessions = Sessions(home.directories.sessions)
    try:
        return act(sessions)
    finally:
        sessions.close()


def went_on(home: CachedHome, asked: str, key: bytes) -> None:
    """The first conversation goes on by a turn."""
    said = [Message("user", [asked]), Message("assistant", ["So."])]
    with_sessions(home, lambda sessions: say(sessions, LLAMAS, said, bytes(4 * 20), key))


def turns(home: CachedHome, session: str) -> list[tuple[object, ...]]:
    """What is known of the turns, but for the numbers that a database gives them."""
    found: list[SessionTurn] = with_sessions(home, lambda sessions: sessions.turns(session))
    return [(each.name, each.messages, each.created, each.tokens, each.finish_key, each.current) for each in found]


def json_of(run: Run, *arguments: str, stdin: bytes | str = b"", exit_code: int = 0) -> dict[str, Any]:
    done = run("sessions", *arguments, "--json", stdin=stdin)
    assert done.exit_code == exit_code, done.stderr
    (line,) = done.stdout.splitlines()
    result: dict[str, Any] = msgspec.json.decode(line)
    return result


def ids(home: CachedHome) -> list[str]:
    return [chat.id for chat in read_chats(home.directories.sessions)]


def test_everything_comes_back_on_another_machine(run: Run, home: CachedHome, file: Path) -> None:
    before = [read_transcript(home.directories.sessions, each) for each in (RIVERS, LLAMAS)]
    said = turns(home, LLAMAS)
    assert len(said) == 3
    done = run("sessions", "export", "--all", "-o", str(file))
    assert done.exit_code == 0
    assert done.stdout.startswith("exported: 2 conversations, ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    document = msgspec.json.decode(file.read_bytes())
    assert (document["format"], document["version"], len(document["conversations"])) == ("erllama-conversations", 1, 2)

    shutil.rmtree(home.directories.data)
    done = run("sessions", "import", str(file))
    assert (done.exit_code, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) == {
        f'imported "{NAME}" ({LLAMAS}): 2 turns',
        f'imported "Rivers?" ({RIVERS}): 1 turn',
    }
    assert [read_transcript(home.directories.sessions, each) for each in (RIVERS, LLAMAS)] == before
    assert turns(home, LLAMAS) == said
    assert not home.directories.socket.exists()


def test_conversations_go_through_pipes(run: Run, home: CachedHome) -> None:
    packed = run("sessions", "export", RIVERS[:3], NAME).stdout
    shutil.rmtree(home.directories.data)
    report = json_of(run, "import", "-", stdin=packed)
    assert [(each["id"], each["was"], each["new"]) for each in report["sessions"]] == [
        (RIVERS, RIVERS, True),
        (LLAMAS, LLAMAS, True),
    ]


def test_one_that_is_here_already_is_left(run: Run, home: CachedHome, file: Path) -> None:
    run("sessions", "export", LLAMAS, "-o", str(file))
    with_sessions(home, lambda sessions: sessions.change(LLAMAS, name="renamed since"))
    before = read_chats(home.directories.sessions)
    done = run("sessions", "import", str(file))
    assert (done.exit_code, done.stdout) == (0, f'"{NAME}" ({LLAMAS}) is here already and was left as it is\n')
    assert read_chats(home.directories.sessions) == before


def test_one_in_which_something_else_was_said_comes_in_under_another_id(run: Run, home: CachedHome, file: Path) -> None:
    run("sessions", "export", LLAMAS, "-o", str(file))
    said = turns(home, LLAMAS)
    went_on(home, "And more?", b"m" * 32)
    grown = turns(home, LLAMAS)
    done = run("sessions", "import", str(file))
    assert done.exit_code == EXIT_FAILED
    assert done.stderr == (
        f"erllama: There is a conversation called '{NAME}' already: {LLAMAS}.\n"
        "Give it another with: erllama sessions import FILE --name NEW\n"
    )
    (came,) = json_of(run, "import", str(file), "--name", "the old one")["sessions"]
    assert (came["was"], came["called"], came["new"]) == (LLAMAS, "the old one", True)
    assert came["id"] != LLAMAS
    assert turns(home, came["id"]) == said
    assert turns(home, LLAMAS) == grown


def test_a_file_is_taken_in_as_a_whole_or_not_at_all(run: Run, home: CachedHome, file: Path, tmp_path: Path) -> None:
    run("sessions", "export", RIVERS, LLAMAS, "-o", str(file))
    alone = tmp_path / "alone.json"
    run("sessions", "export", RIVERS, "-o", str(alone))
    shutil.rmtree(home.directories.data)
    with_sessions(home, lambda sessions: sessions.create("demo", NAME))
    report = json_of(run, "import", str(file), str(alone), exit_code=EXIT_FAILED)
    assert [error["code"] for error in report["errors"]] == ["session_name_taken"]
    assert [each["id"] for each in report["sessions"]] == [RIVERS]
    assert ids(home) == [RIVERS]
    shutil.rmtree(home.directories.data)
    with_sessions(home, lambda sessions: sessions.create("demo", NAME))
    assert run("sessions", "import", str(file)).exit_code == EXIT_FAILED
    assert ids(home) == []


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (b"\x00\xff noise", "import_unreadable", "JSON is malformed"),
        (b"", "import_unreadable", "truncated"),
        (b"[1, 2]", "import_unreadable", "not what erllama sessions export writes"),
        (b'{"format": "other", "version": 1}', "import_unreadable", "not what erllama sessions export writes"),
        (b'{"format": "erllama-conversations", "version": 0, "conversations": []}', "import_unreadable", "format, 0,"),
        (b'{"format": "erllama-conversations", "version": 2, "a": []}', "import_too_new", "format 2; this one knows 1"),
        (b'{"format": "erllama-conversations", "version": 1, "conversations": [{}]}', "import_unreadable", "missing"),
        (b'{"messages": [{"role": "tool", "content": "x"}]}', "import_unreadable", "has a tool_call_id"),
        (b'{"messages": []}', "import_unreadable", "--model"),
    ],
)
def test_what_cannot_be_taken_in_is_named_and_changes_nothing(
    run: Run, user_home: Path, file: Path, text: bytes, code: str, words: str
) -> None:
    file.write_bytes(text)
    report = json_of(run, "import", str(file), exit_code=EXIT_FAILED)
    (error,) = report["errors"]
    assert error["code"] == code
    assert str(file) in error["message"]
    assert words in error["message"]
    assert not list(user_home.rglob("*.sqlite3"))


def test_a_file_that_breaks_off_anywhere_is_refused(run: Run, home: CachedHome, file: Path) -> None:
    whole = run("sessions", "export", "--all").stdout.encode().rstrip()
    shutil.rmtree(home.directories.data)
    for length in range(1, len(whole), 97):
        file.write_bytes(whole[:length])
        assert run("sessions", "import", str(file)).exit_code == EXIT_FAILED
    assert not home.directories.sessions.exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f'"id":"{RIVERS}"', '"id":"../../etc"'),
        (f'"id":"{RIVERS}"', f'"id":"{LLAMAS}"'),
        ('"name":null', '"name":"two\\nlines"'),
        ('"name":null', '"name":"\\u001b[2J"'),
        ('"head":0', '"head":7'),
        ('"parent":null', '"parent":3'),
        ('"first_token":0', '"first_token":5'),
        ('"finish_key":"', '"finish_key":"AAAA'),
    ],
)
def test_what_could_harm_the_conversations_here_is_refused(
    run: Run, home: CachedHome, file: Path, old: str, new: str
) -> None:
    exported = run("sessions", "export", RIVERS, LLAMAS).stdout
    assert old in exported
    file.write_text(exported.replace(old, new))
    shutil.rmtree(home.directories.data)
    done = run("sessions", "import", str(file))
    assert done.exit_code == EXIT_FAILED
    assert "cannot be read: " in done.stderr
    assert not home.directories.sessions.exists()


def test_a_file_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    done = run("sessions", "import", str(tmp_path / "none.json"))
    assert done.exit_code == EXIT_FAILED
    assert f"{tmp_path}/none.json cannot be read: No such file or directory." in done.stderr


def test_messages_of_another_program_become_a_conversation(run: Run, home: CachedHome, file: Path) -> None:
    file.write_bytes(msgspec.json.encode(FOREIGN))
    (came,) = json_of(run, "import", str(file), "--model", "demo", "--name", "from afar")["sessions"]
    shown = json_of(run, "show", "from afar")
    assert shown["session"]["title"] == "What is a llama?"
    assert shown["session"]["unanswered"]["parts"] == ["Where?"]
    assert [message["parts"] for message in shown["turns"][0]["messages"]] == [
        ["Be brief."],
        ["What is\na llama?"],
        ["An ", "animal."],
    ]
    # Without tokens, everything is read when it goes on.
    history = with_sessions(home, lambda sessions: sessions.history(came["id"]))
    assert (history.tokens, len(history.messages)) == (b"", 3)
    say_more = [Message("user", ["Where?"]), Message("assistant", ["Peru."])]
    with_sessions(home, lambda sessions: say(sessions, came["id"], say_more, bytes(4 * 9), b"n" * 32))
    assert with_sessions(home, lambda sessions: sessions.history(came["id"])).tokens == bytes(4 * 9)
    assert "--- 1 · assistant\nAn animal.\n" in run("sessions", "show", "from afar").stdout


@pytest.mark.usefixtures("home")
def test_calls_of_tools_are_taken_along_and_shown(run: Run, home: CachedHome, file: Path, tmp_path: Path) -> None:
    call = {"id": "one", "type": "function", "function": {"name": "clock", "arguments": '{"city": "Lima"}'}}
    messages = [
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "one", "content": "Noon."},
        {"role": "assistant", "content": "It is noon."},
    ]
    file.write_bytes(msgspec.json.encode({"messages": messages}))
    json_of(run, "import", str(file), "--model", "demo", "--name", "tools")
    asked, called = (
        Message("user", ["What time is it?"]),
        Message("assistant", [""], [ToolCall("one", "clock", '{"city": "Lima"}')]),
    )
    result, answer = Message("tool", ["Noon."], tool_call_id="one"), Message("assistant", ["It is noon."])
    turns = [[asked, called], [result, answer]]
    assert [turn.messages for turn in with_sessions(home, lambda kept: kept.turns(kept.find("tools").id))] == turns
    run("sessions", "export", "tools", "-o", str(tmp_path / "all.json"))
    run("sessions", "rm", "tools", "--yes")
    assert run("sessions", "import", str(tmp_path / "all.json")).exit_code == 0
    assert [turn.messages for turn in with_sessions(home, lambda kept: kept.turns(kept.find("tools").id))] == turns
    shown = run("sessions", "show", "tools").stdout
    assert 'assistant\nclock {"city": "Lima"}\n' in shown
    assert "tool\nNoon.\n" in shown
    assert "2  Noon." in run("sessions", "show", "tools", "--all").stdout
    assert "## 2 Result\n\nNoon." in run("sessions", "export", "tools", "--format", "md").stdout


@pytest.mark.usefixtures("home")
def test_a_name_is_for_one_conversation_and_has_to_be_one(run: Run, file: Path) -> None:
    run("sessions", "export", "--all", "-o", str(file))
    assert run("sessions", "import", str(file), "--name", "x").exit_code == EXIT_USAGE
    assert run("sessions", "import", str(file), "--name", "two\nlines").exit_code == EXIT_USAGE


def test_the_model_may_be_called_otherwise_here(run: Run, home: CachedHome, file: Path) -> None:
    run("sessions", "export", RIVERS, "-o", str(file))
    shutil.rmtree(home.directories.data)
    done = run("sessions", "import", str(file), "--model", "/models/none.gguf")
    assert done.stdout.splitlines()[1] == "its model is not here: /models/none.gguf"
    assert [chat.model for chat in read_chats(home.directories.sessions)] == ["/models/none.gguf"]


@pytest.mark.usefixtures("home")
def test_markdown_is_there_to_be_read(run: Run, tmp_path: Path) -> None:
    done = run("sessions", "export", LLAMAS, "-o", str(tmp_path / "kept.md"))
    assert done.exit_code == 0
    text = (tmp_path / "kept.md").read_text()
    assert text.startswith(f"# {NAME}\n")
    assert "Llamas?" in text
    assert "And?" in text
    assert run("sessions", "export", LLAMAS, "--format", "md").stdout == text
    report = json_of(run, "export", RIVERS, "--format", "json", "-o", str(tmp_path / "json.md"))
    assert (report["format"], report["sessions"]) == ("json", [RIVERS])


@pytest.mark.usefixtures("home")
def test_a_file_is_replaced_only_by_force_and_only_by_a_whole_one(run: Run, file: Path) -> None:
    file.write_text("mine")
    done = run("sessions", "export", LLAMAS, "-o", str(file))
    assert done.exit_code == EXIT_USAGE
    assert "--force" in done.stderr
    assert run("sessions", "export", "nobody", "-o", str(file), "--force").exit_code == EXIT_FAILED
    assert file.read_text() == "mine"
    assert run("sessions", "export", LLAMAS, "-o", str(file), "--force", "-q").stdout == ""
    assert file.read_text() != "mine"
    assert [each.name for each in file.parent.iterdir()] == [file.name]


@pytest.mark.usefixtures("home")
def test_a_link_that_is_written_over_stays_one(run: Run, file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    assert run("sessions", "export", LLAMAS, "-o", str(link), "--force").exit_code == 0
    assert (link.is_symlink(), file.is_file()) == (True, True)


@pytest.mark.usefixtures("home")
def test_where_no_file_can_be_is_named(run: Run, tmp_path: Path) -> None:
    done = run("sessions", "export", LLAMAS, "-o", str(tmp_path / "none" / "a.json"))
    assert done.exit_code == EXIT_FAILED
    assert "The conversations cannot be written to" in done.stderr


@pytest.mark.usefixtures("home")
def test_a_named_pipe_is_written_to_and_stays_one(run: Run, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    done = run("sessions", "export", RIVERS, "-o", str(pipe))
    reader.join()
    assert done.exit_code == 0
    assert pipe.is_fifo()
    assert msgspec.json.decode(read[0])["conversations"][0]["id"] == RIVERS


@pytest.mark.usefixtures("home")
def test_what_to_export_has_to_be_said_once(run: Run) -> None:
    for arguments in ([], ["--all", RIVERS], [RIVERS, "--json"]):
        assert run("sessions", "export", *arguments).exit_code == EXIT_USAGE


def test_an_empty_home_exports_an_empty_file_that_can_be_taken_in(run: Run, file: Path, user_home: Path) -> None:
    assert run("sessions", "export", "--all", "-o", str(file)).stdout.startswith("exported: 0 conversations")
    assert run("sessions", "import", str(file)).stdout == "there is no conversation in it\n"
    assert not list(user_home.rglob("*.sqlite3"))


def test_an_archive_of_the_cache_brings_names_and_what_was_left(run: Run, home: CachedHome, tmp_path: Path) -> None:
    archive = tmp_path / "llamas.tar"
    said = turns(home, LLAMAS)
    assert run("cache", "export", NAME, "-o", str(archive)).exit_code == 0
    shutil.rmtree(home.directories.data)
    assert run("cache", "import", str(archive)).exit_code == 0
    assert turns(home, LLAMAS) == said
    assert [chat.name for chat in read_chats(home.directories.sessions)] == [NAME]


def test_a_name_that_is_taken_does_not_keep_an_archive_of_the_cache_out(
    run: Run, home: CachedHome, tmp_path: Path
) -> None:
    archive = tmp_path / "llamas.tar"
    run("cache", "export", LLAMAS, "-o", str(archive))
    shutil.rmtree(home.directories.data)
    with_sessions(home, lambda sessions: sessions.create("demo", NAME))
    done = run("cache", "import", str(archive))
    assert done.exit_code == 0
    assert f"another conversation has the name of {LLAMAS}, which came without it\n" in done.stdout
    (came,) = read_chats(home.directories.sessions)
    assert (came.id, came.name, came.title) == (LLAMAS, None, "Llamas?")


def test_an_archive_of_the_first_version_is_read(run: Run, home: CachedHome, tmp_path: Path) -> None:
    """Its conversations knew neither names nor branches: each turn follows the one before."""
    archive = tmp_path / "old.tar"
    run("cache", "export", RIVERS, "-o", str(archive))
    transcript = msgspec.to_builtins(read_transcript(home.directories.sessions, RIVERS))
    old = {key: transcript[key] for key in ("id", "model", "title", "created", "updated", "unanswered")}
    turn = {
        key: transcript["turns"][0][key] for key in ("messages", "first_token", "tokens", "finish_key", "fingerprint")
    }
    first = {**turn, "finish_key": msgspec.to_builtins(b"f" * 32)}
    rewrite(archive, [{**old, "turns": [first, turn]}])
    shutil.rmtree(home.directories.data)
    done = run("cache", "import", str(archive))
    assert done.exit_code == 0, done.stderr
    (came,) = read_chats(home.directories.sessions)
    assert (came.id, came.name, came.turns) == (RIVERS, None, 2)
    assert came.keys == [b"f" * 32, home.rivers.key]


def rewrite(archive: Path, chat: list[dict[str, Any]]) -> None:
    """Has an archive hold these conversations instead."""
    import io
    import tarfile

    with tarfile.open(archive) as old:
        members = [(member, old.extractfile(member).read()) for member in old.getmembers()]  # type: ignore[union-attr]
    with tarfile.open(archive, "w") as new:
        for member, data in members:
            if member.name == "chain.json":
                data = msgspec.json.encode({**msgspec.json.decode(data), "chat": chat})
                member.size = len(data)
            new.addfile(member, io.BytesIO(data))
