from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer, model_status, session
from cli.terminal import Terminal

from erllama_cli.client import Client
from erllama_cli.conversation.hold import Hold
from erllama_cli.conversation.opening import find_or_begin
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import EXIT_FAILED, EXIT_MODEL, EXIT_USAGE, SessionNameTaken, SessionUnknown
from erllama_daemon.messages import (
    Failure,
    Fork,
    Loaded,
    Message,
    ModelRequest,
    NewSession,
    RemoteError,
    Session,
    SessionChange,
)

SAID = (Message("user", ["Hi"]), Message("assistant", ["Hello"]))
OPEN = "[f]ork it, [w]ait until it is closed, [q]uit?"
OTHER = "[g]o on here, [f]ork, [q]uit?"


def kept(**changes: Any) -> Session:
    """A conversation called build, in which something was said."""
    return msgspec.structs.replace(session(*SAID), **{"name": "build", "turn": 1, "turns": 1, **changes})


@pytest.fixture
def build(fake: FakeDaemon) -> FakeDaemon:
    """A daemon that keeps the conversation `build`, and answers."""
    fake.kept, fake.answers = [kept()], [answer("Hm.")]
    return fake


@pytest.fixture
def gone(fake: FakeDaemon, tmp_path: Path) -> FakeDaemon:
    """As `build`, but the model is not where it was."""
    fake.kept, fake.answers = [kept(model=str(tmp_path / "gone.gguf"))], [answer("Hm.")]
    return fake


@pytest.fixture
def elsewhere() -> Iterator[Hold]:
    """Another window that has `build` open."""
    hold = Hold(user_directories())
    assert hold.move("abcd1234")
    yield hold
    hold.release()


@pytest.fixture
def moved(tmp_path: Path) -> str:
    """A model file."""
    (tmp_path / "moved.gguf").touch()
    return str(tmp_path / "moved.gguf")


@pytest.mark.parametrize("called", ["build", "abcd1234", "abcd"])
def test_a_conversation_is_named_by_its_name_its_id_or_how_that_begins(
    run: Run, build: FakeDaemon, called: str
) -> None:
    assert run("chat", "--session", called, stdin="Why?").stdout == "Hm.\n"
    assert build.asked[0].session == "abcd1234"
    assert build.done == []


@pytest.mark.parametrize("name", ["build", 'it\'s a "build": 1/2', "🦙 llamas"])
@pytest.mark.parametrize("command", [["chat", "demo"], ["run", "demo", "Why?"]])
def test_a_conversation_of_a_new_name_is_begun(run: Run, fake: FakeDaemon, command: list[str], name: str) -> None:
    fake.answers = [answer("Hm."), answer("Ah.")]
    for _ in range(2):
        assert run(*command, "--session", name, stdin="Why?").exit_code == 0
    assert fake.done == [NewSession("demo", name=name)]
    assert [request.session for request in fake.asked] == ["abcd1234", "abcd1234"]


def test_a_new_conversation_can_be_named(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Hm.")]
    assert run("chat", "demo", "--name", "build", stdin="Why?").exit_code == 0
    assert fake.done == [NewSession("demo", name="build")]


@pytest.mark.parametrize("command", [["chat", "demo"], ["run", "demo", "Why?"]])
def test_a_new_name_never_hits_upon_an_id_by_chance(run: Run, build: FakeDaemon, command: list[str]) -> None:
    assert run(*command, "--session", "abcd", stdin="Why?").exit_code == 0
    assert build.done == [NewSession("demo", name="abcd")]


class Overtaken(Client):
    """Sees a conversation only after another command has begun it."""

    begun = False

    def session(self, name: str) -> Session:
        if not self.begun:
            raise RemoteError(Failure.of(SessionUnknown(session=name)))
        return kept()

    def new_session(self, model: str, *, private: bool = False, name: str | None = None) -> Session:
        self.begun = True
        raise RemoteError(Failure.of(SessionNameTaken(name=name, session="abcd1234")))


def test_of_two_commands_that_begin_a_conversation_the_slower_goes_on_with_it() -> None:
    opened = find_or_begin(Overtaken(user_directories()), "build", "demo")
    assert (opened.session.id, opened.is_new) == ("abcd1234", False)


@pytest.mark.parametrize("command", [["chat"], ["run", "Why?"]])
def test_another_model_than_the_conversations_is_refused(
    run: Run, build: FakeDaemon, moved: str, command: list[str]
) -> None:
    done = run(command[0], moved, *command[1:], "--session", "build", stdin="Why?")
    assert (done.exit_code, done.stdout) == (EXIT_USAGE, "")
    assert done.stderr == (
        f"erllama: The conversation build is with demo, not with {moved}.\n"
        f"Have it go on with the other model: erllama chat --session abcd1234 --model {moved}"
        " (with --fork, a copy of it does).\n"
    )
    assert build.asked == build.done == []


def test_the_same_file_by_another_path_is_the_same_model(
    run: Run, build: FakeDaemon, moved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.kept = [kept(model=moved)]
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert run("run", "../moved.gguf", "Why?", "--session", "build").exit_code == 0
    assert build.done == []


def test_a_conversation_goes_on_with_another_model_on_demand(run: Run, build: FakeDaemon, moved: str) -> None:
    assert run("chat", "--session", "build", "--model", moved, stdin="Why?").stdout == "Hm.\n"
    assert build.done == [SessionChange(model=moved)]
    assert build.asked[0].session == "abcd1234"


def test_a_fork_goes_on_and_leaves_the_conversation_as_it_is(run: Run, build: FakeDaemon) -> None:
    build.latest = build.kept[0]
    assert run("chat", "-c", "--fork", "--name", "faster", stdin="Why?").stdout == "Hm.\n"
    assert build.done == [Fork("faster")]
    assert build.asked[0].session == "f0f0f0f0"


@pytest.mark.parametrize("positional", [True, False])
def test_a_fork_with_another_model_leaves_the_conversation_its_own(
    run: Run, build: FakeDaemon, moved: str, positional: bool
) -> None:
    chosen = [moved] if positional else ["--model", moved]
    assert run("chat", *chosen, "--session", "build", "--fork", stdin="Why?").exit_code == 0
    assert build.done == [Fork(), SessionChange(model=moved)]
    assert {each.id: each.model for each in build.kept} == {"f0f0f0f0": moved, "abcd1234": "demo"}


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("stdin", ["", "Why?"])
@pytest.mark.parametrize(
    ("choice", "code"), [(["--session", "bild"], "session_unknown"), (["--continue"], "no_session")]
)
def test_a_conversation_that_is_not_there_is_named_whatever_is_asked(
    run: Run, choice: list[str], code: str, stdin: str
) -> None:
    done = run("chat", *choice, "--json", stdin=stdin)
    assert done.exit_code == EXIT_FAILED
    assert msgspec.json.decode(done.stdout)["error"]["code"] == code


def test_nothing_is_begun_forked_or_changed_for_an_empty_question(run: Run, build: FakeDaemon) -> None:
    for choice in (["demo", "--session", "new"], ["--session", "build", "--fork"], ["--session", "build"]):
        assert run("chat", *choice, stdin=" \n").exit_code == EXIT_USAGE
    assert run("run", "demo", "--session", "new").exit_code == EXIT_USAGE
    assert build.done == build.asked == []


def test_a_model_that_is_gone_is_named_with_what_to_do(run: Run, gone: FakeDaemon, tmp_path: Path) -> None:
    done = run("chat", "--session", "build", stdin="Why?")
    assert (done.exit_code, done.stdout) == (EXIT_MODEL, "")
    assert done.stderr == (
        f"erllama: The model {tmp_path / 'gone.gguf'} of the conversation build is not there any more.\n"
        "Say where it is now, or choose another: erllama chat --session abcd1234 --model MODEL\n"
    )
    assert gone.asked == gone.done == []


@pytest.mark.parametrize("command", [["chat"], ["run", "demo", "Why?"]])
def test_a_private_conversation_belongs_to_the_command_that_began_it(
    run: Run, fake: FakeDaemon, command: list[str]
) -> None:
    fake.kept = [session(name="private-1", private=True)]
    done = run(*command, "--session", "private-1", "--json", stdin="Why?")
    assert done.exit_code == EXIT_FAILED
    assert msgspec.json.decode(done.stdout)["error"]["code"] == "session_private"
    assert fake.asked == fake.done == []
    assert fake.deleted == []


@pytest.mark.parametrize(
    ("code", "choice"),
    [
        ("session_ambiguous", ["--session", "a"]),
        ("sessions_unusable", ["--session", "a"]),
        ("sessions_unusable", ["demo", "--session", "a"]),
        ("sessions_too_new", ["--continue"]),
        ("session_name_taken", ["demo", "--name", "a"]),
        ("model_missing", ["demo"]),
    ],
)
def test_what_the_daemon_refuses_keeps_its_words_and_its_exit_code(
    run: Run, fake: FakeDaemon, code: str, choice: list[str]
) -> None:
    fake.refusal = (500, Failure(code, "It is so.", "Do that.", EXIT_MODEL))
    done = run("chat", *choice, stdin="Why?")
    assert (done.exit_code, done.stdout, done.stderr) == (EXIT_MODEL, "", "erllama: It is so.\nDo that.\n")


@pytest.mark.parametrize("command", [["chat"], ["run", "demo"]])
def test_the_system_prompt_may_be_said_again_but_not_changed(run: Run, build: FakeDaemon, command: list[str]) -> None:
    build.kept = [kept(messages=[Message("system", ["Be brief."]), *SAID])]
    arguments = ["demo"] if command == ["chat"] else ["Why?"]
    asking = [*command, *arguments, "--session", "build", "-s"]
    assert run(*asking, "Be brief.", stdin="Why?").exit_code == 0
    assert [message.role for message in build.asked[0].messages] == ["user"]
    done = run(*asking, "Be wordy.", stdin="Why?")
    assert (done.exit_code, len(build.asked)) == (EXIT_USAGE, 1)
    assert "--system belongs at the start" in done.stderr


def test_the_system_prompt_goes_with_the_first_turn_of_a_named_conversation(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Hm.")]
    run("run", "demo", "--session", "build", "-s", "Be brief.", "Why?", stdin="A text.")
    assert [(message.role, message.parts) for message in fake.asked[0].messages] == [
        ("system", ["Be brief."]),
        ("user", ["A text.", "\n\nWhy?"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["chat", "--continue", "--session", "a"], "--session and --continue exclude each other"),
        (["chat", "demo", "--continue"], "MODEL and --continue exclude each other"),
        (["chat", "demo", "--session", "a", "--model", "demo"], "MODEL and --model exclude each other"),
        (["chat", "demo", "--session", "a", "--private"], "--session and --private exclude each other"),
        (["chat", "demo", "--name", "a", "--private"], "--name and --private exclude each other"),
        (["chat", "--session", " "], "--session is empty"),
        (["chat", "--session", "a", "--name", "b"], "--session and --name exclude each other"),
        (["chat", "demo", "--fork"], "--fork goes with --session or --continue"),
        (["chat", "demo", "--session", "a", "--fork", "-s", "Hm."], "--fork and --system exclude each other"),
        (["run", "demo", "?", "--session", "a", "--private"], "--session and --private exclude each other"),
        (["run", "demo", "?", "--session", "a", "--no-cache"], "--session and --no-cache exclude each other"),
        (["run", "demo", "?", "--session", "a", "--parent", "f" * 64], "--session and --parent exclude each other"),
        (["run", "demo", "?", "--parent", "f" * 64, "-s", "Hm."], "--parent and --system exclude each other"),
        (["run", "demo", "?", "--parent", "f0"], "--parent takes the finish_key of an answer: 64 hexadecimal digits"),
        (["run", "demo", "?", "--overflow", "drop"], "--overflow goes with --session or --parent"),
    ],
)
def test_contradictions_are_named_before_a_daemon_starts(
    run: Run, user_home: Path, arguments: list[str], reason: str
) -> None:
    done = run(*arguments, stdin="Why?")
    assert (done.exit_code, done.stdout) == (EXIT_USAGE, "")
    assert done.stderr.partition("\n")[0] == f"erllama: The request is not valid: {reason}."
    assert not list(user_home.rglob("erllama"))


def test_a_key_is_followed_without_a_conversation(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Hm.")]
    assert run("run", "demo", "--parent", "AB" * 32, "--overflow", "drop", "Why?").stdout == "Hm.\n"
    (request,) = fake.asked
    assert (request.parent_key, request.model, request.session) == ("ab" * 32, "demo", None)
    assert (request.overflow, [message.text for message in request.messages]) == ("drop", ["Why?"])


@pytest.mark.parametrize("command", [["chat", "demo"], ["run", "demo", "Why?"]])
def test_what_happens_when_the_context_is_full_is_chosen(run: Run, build: FakeDaemon, command: list[str]) -> None:
    assert run(*command, "--session", "build", "--overflow", "summarize", stdin="Why?").exit_code == 0
    assert build.asked[0].overflow == "summarize"


@pytest.mark.usefixtures("elsewhere")
def test_a_scripts_turn_goes_in_between_those_of_an_open_window(run: Run, build: FakeDaemon) -> None:
    assert run("chat", "--session", "build", stdin="Why?").stdout == "Hm.\n"
    assert (build.asked[0].session, build.asked[0].seen) == ("abcd1234", None)


@pytest.mark.usefixtures("elsewhere")
def test_a_script_can_fork_or_fail_instead(run: Run, build: FakeDaemon) -> None:
    done = run("chat", "--session", "build", "--if-open", "fail", stdin="Why?")
    assert (done.exit_code, done.stdout) == (EXIT_FAILED, "")
    assert done.stderr.startswith("erllama: The conversation build is open in another window.\n")
    assert build.asked == []
    assert run("chat", "--session", "build", "--if-open", "fork", stdin="Why?").stdout == "Hm.\n"
    assert build.done == [Fork()]
    assert build.asked[0].session == "f0f0f0f0"


def test_a_hold_moves_and_ends(user_home: Path) -> None:
    first, second = Hold(user_directories()), Hold(user_directories())
    assert first.move("a")
    assert first.move("a")
    assert not second.move("a")
    assert second.move("b")
    assert not first.move("b")
    assert not second.move("a")  # a move that fails lets go of nothing
    first.release()
    assert second.move("a")
    assert first.move("b")
    for hold in (first, second):
        hold.release()
        hold.release()
    assert [file.read_bytes() for file in user_home.rglob("*.lock")] == [b"", b""]


def test_where_nothing_can_be_locked_no_window_is_in_the_way() -> None:
    folder = user_directories().runtime
    folder.mkdir(parents=True)
    (folder / "chats").write_text("in the way")
    assert Hold(user_directories()).move("a")
    assert Hold().move("a")


def test_of_two_windows_the_second_may_leave_fork_or_wait(build: FakeDaemon, terminals: list[Terminal]) -> None:
    terminals.append(first := Terminal("chat", "--session", "build"))
    first.await_text(">>> ")
    terminals.append(leaving := Terminal("chat", "--session", "build"))
    leaving.await_text(f"build is open in another window. {OPEN} ")
    leaving.type("?\n")
    leaving.await_text(OPEN)
    leaving.type("q\n")
    assert leaving.rest()[0] == 0
    terminals.append(waiting := Terminal("chat", "--session", "build"))
    waiting.await_text(OPEN)
    waiting.type("w\n")
    waiting.await_text("Waiting until it is closed; Ctrl-C leaves.")
    terminals.append(forking := Terminal("chat", "--session", "build"))
    forking.await_text(OPEN)
    forking.type("f\n")
    forking.await_text("Goes on with a copy of build (f0f0f0f0).")
    forking.await_text(">>> ")
    assert build.done == [Fork()]
    first.kill(signal.SIGKILL)
    waiting.await_text(">>> ")
    waiting.type("Why?\n")
    waiting.await_text("Hm.")
    assert build.asked[0].session == "abcd1234"


@pytest.mark.usefixtures("elsewhere")
def test_waiting_ends_with_ctrl_c(build: FakeDaemon, terminals: list[Terminal]) -> None:
    terminals.append(waiting := Terminal("chat", "--session", "build", "--if-open", "wait"))
    waiting.await_text("Waiting")
    waiting.type("\x03")
    assert waiting.rest()[0] == 130
    assert build.asked == build.done == []


def test_at_a_terminal_it_asks_where_the_model_is_now(
    gone: FakeDaemon, terminals: list[Terminal], tmp_path: Path, moved: str
) -> None:
    terminals.append(terminal := Terminal("chat", "--session", "build"))
    question = f"The model {tmp_path / 'gone.gguf'} is not there any more. Where is it now (empty leaves)?"
    terminal.await_text(question)
    terminal.type("/no/such.gguf\n")
    terminal.await_text("There is no model /no/such.gguf.")
    terminal.await_text(question)
    terminal.type(f"{moved}\n")
    terminal.await_text(">>> ")
    assert gone.done == [SessionChange(model=moved)]
    terminals.append(leaving := Terminal("chat", "--session", "build", "--if-open", "fork"))
    gone.kept = [kept(model="/no/such.gguf")]
    leaving.await_text("Where is it now")
    leaving.type("\n")
    assert leaving.rest()[0] == 0
    assert len(gone.done) == 1


@pytest.mark.parametrize(
    ("key", "done"), [("g", ["change"]), ("f", ["fork", "change"]), ("q", []), ("\x04", [])], ids=["g", "f", "q", "^D"]
)
def test_at_a_terminal_another_quantization_offers_a_fork(
    build: FakeDaemon, terminals: list[Terminal], moved: str, key: str, done: list[str]
) -> None:
    build.kept = [kept(fingerprint="b" * 64, tokens=1234)]
    build.loading = [Loaded(model_status())]
    terminals.append(terminal := Terminal("chat", "--session", "build", "--model", moved, "--ctx", "512"))
    terminal.await_text(f"everything (1,234 tokens) is read again. {OTHER} ")
    assert build.done == []
    terminal.type(key if key == "\x04" else f"{key}\n")
    if done:
        terminal.await_text(">>> ")
    else:
        assert terminal.rest()[0] == 0
    changes = {"change": SessionChange(model=moved), "fork": Fork()}
    assert build.done == [changes[name] for name in done]
    ((_, load),) = build.calls
    assert isinstance(load, ModelRequest)
    assert (load.model, load.options.context_size) == (moved, 512)


def test_at_a_terminal_the_same_model_asks_nothing(build: FakeDaemon, terminals: list[Terminal]) -> None:
    build.kept = [kept(fingerprint="a" * 64)]
    build.loading = [Loaded(model_status())]
    terminals.append(terminal := Terminal("chat", "--session", "build"))
    terminal.await_text(">>> ")
    assert OTHER not in terminal.seen
    assert build.done == []


def test_on_a_terminal_a_script_is_told_which_conversation_goes_on(build: FakeDaemon) -> None:
    build.latest = build.kept[0]
    outer, inner = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "erllama_cli", "chat", "--continue"],
        input=b"Why?",
        stdout=subprocess.PIPE,
        stderr=inner,
        check=True,
        timeout=60,
    )
    told = os.read(outer, 1000).decode()
    os.close(outer)
    os.close(inner)
    assert (done.stdout, told) == (b"Hm.\n", "Goes on with build (abcd1234).\r\n")
