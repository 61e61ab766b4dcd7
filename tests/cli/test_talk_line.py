"""The line that is typed in a conversation."""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli.fake_daemon import answer
from cli.keeping_daemon import KeepingDaemon
from cli.terminal import Screen, Terminal

from erllama_daemon.directories import user_directories

Start = Callable[..., Screen]


@pytest.fixture
def start(keeping: KeepingDaemon) -> Iterator[Start]:
    """Starts a chat at a screen of its own, to which the daemon says Hm."""
    screens: list[Screen] = []
    keeping.answers = [answer("Hm.") for _ in range(9)]

    def _start(*arguments: str) -> Screen:
        screens.append(screen := Screen("chat", *(arguments or ("demo",))))
        screen.await_prompt()
        return screen

    yield _start
    for screen in screens:
        screen.close()


def asked(keeping: KeepingDaemon) -> list[str]:
    return [request.messages[-1].text for request in keeping.asked]


def kept_lines() -> Path:
    return user_directories().data / "typed-lines"


@pytest.mark.parametrize("key", ["\x1b\r", "\n"], ids=["Alt-Enter", "Ctrl-J"])
def test_a_message_may_have_many_lines(start: Start, keeping: KeepingDaemon, key: str) -> None:
    screen = start()
    screen.clear()
    screen.type("First")
    screen.await_line(">>> First")
    screen.type(key)
    screen.await_lines(lambda lines: lines == [">>> First", "..."], "the second line")
    screen.type("second\r")
    screen.await_lines(lambda lines: "Hm." in lines, "the answer")
    assert asked(keeping) == ["First\nsecond"]


def test_a_line_that_comes_in_one_piece_is_sent_whatever_ends_it(start: Start, keeping: KeepingDaemon) -> None:
    screen = start()
    screen.clear()
    screen.type("Why?\n")
    screen.await_lines(lambda lines: "Hm." in lines, "the answer")
    assert asked(keeping) == ["Why?"]


def test_lines_that_come_in_one_piece_send_nothing(start: Start, keeping: KeepingDaemon) -> None:
    screen = start()
    screen.clear()
    screen.type("First\nsecond\n")
    screen.await_lines(lambda lines: lines == [">>> First", "... second", "..."], "the lines")
    assert keeping.asked == []


def test_a_line_that_is_typed_during_an_answer_is_asked_after_it(start: Start, keeping: KeepingDaemon) -> None:
    screen = start()
    keeping.may_finish.clear()
    screen.clear()
    screen.type("Why?\r")
    screen.await_lines(lambda lines: any(line.startswith("Hm.") for line in lines), "the answer")
    screen.type("And now?\r")
    keeping.may_finish.set()
    lines = screen.await_lines(lambda lines: lines.count("Hm.") == 2, "the second answer")
    assert lines.count(">>> And now?") == 1
    assert asked(keeping) == ["Why?", "And now?"]


def test_several_lines_that_are_typed_during_an_answer_are_asked_one_after_the_other(
    start: Start, keeping: KeepingDaemon
) -> None:
    screen = start()
    keeping.may_finish.clear()
    screen.clear()
    screen.type("Why?\r")
    screen.await_lines(lambda lines: any(line.startswith("Hm.") for line in lines), "the answer")
    screen.type("And now?\r/copy nothing\rAnd then?\r")
    keeping.may_finish.set()
    screen.await_lines(lambda lines: lines.count("Hm.") == 3, "the third answer")
    assert asked(keeping) == ["Why?", "And now?", "And then?"]


def test_what_is_pasted_during_an_answer_sends_nothing(start: Start, keeping: KeepingDaemon) -> None:
    screen = start()
    keeping.may_finish.clear()
    screen.clear()
    screen.type("Why?\r")
    screen.await_lines(lambda lines: any(line.startswith("Hm.") for line in lines), "the answer")
    screen.type("\x1b[200~First\rsecond\r\x1b[201~")
    keeping.may_finish.set()
    screen.await_lines(lambda lines: lines[-3:] == [">>> First", "... second", "..."], "what was pasted")
    assert asked(keeping) == ["Why?"]


def test_what_is_pasted_goes_into_the_line_and_sends_nothing(start: Start, keeping: KeepingDaemon) -> None:
    screen = start()
    screen.clear()
    screen.type("\x1b[200~First\rsecond\r\nthird\n\x1b[201~")
    screen.await_lines(lambda lines: lines == [">>> First", "... second", "... third", "..."], "what was pasted")
    assert keeping.asked == []
    screen.type("fourth\r")
    screen.await_lines(lambda lines: "Hm." in lines, "the answer")
    assert asked(keeping) == ["First\nsecond\nthird\nfourth"]


def test_ctrl_c_clears_the_line_and_ctrl_d_leaves_an_empty_one(start: Start, keeping: KeepingDaemon) -> None:
    screen = start()
    screen.type("half a line")
    screen.await_line(">>> half a line")
    screen.type("\x04")
    screen.type("\x03")
    screen.send("Why?", "Hm.")
    screen.clear()
    screen.type("\x04")
    assert screen.rest()[0] == 0
    assert asked(keeping) == ["Why?"]


def test_what_was_typed_is_there_in_the_next_chat_and_nobody_elses_business(start: Start) -> None:
    screen = start()
    screen.send("First\nsecond", "Hm.")
    screen.send("/goto", "First")
    screen.type("\x04")
    assert screen.rest()[0] == 0
    assert stat.S_IMODE(kept_lines().stat().st_mode) == 0o600
    other = start()
    other.type("\x1b[A")
    other.await_line(">>> /goto")
    other.type("\x1b[A")
    other.await_lines(lambda lines: lines[-2:] == [">>> First", "... second"], "the line before")


def test_of_a_private_chat_no_line_is_kept(start: Start) -> None:
    screen = start("demo", "--private")
    screen.send("Why?", "Hm.")
    screen.type("\x1b[A")
    screen.await_line(">>> Why?")
    screen.type("\x03")
    screen.await_prompt()
    screen.type("\x04")
    assert screen.rest()[0] == 0
    assert not kept_lines().exists()


def test_lines_that_cannot_be_kept_harm_nothing(start: Start, keeping: KeepingDaemon) -> None:
    kept_lines().mkdir(parents=True)
    start().send("Why?", "Hm.")
    assert asked(keeping) == ["Why?"]


def test_kept_lines_that_are_damaged_are_passed_over_and_too_many_are_forgotten(start: Start) -> None:
    kept_lines().parent.mkdir(parents=True, exist_ok=True)
    old = json.dumps("x" * 999) + "\n"
    kept_lines().write_text(old * 2200 + '"First"\nnot JSON\n')
    screen = start()
    screen.type("\x1b[A")
    screen.await_line(">>> First")
    assert kept_lines().stat().st_size <= 1 << 20


def test_the_editor_of_the_user_writes_the_message(
    start: Start, keeping: KeepingDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "second\\n" >> "$1"\n')
    editor.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    screen = start()
    screen.clear()
    screen.type("First\n\x18\x05")
    screen.await_lines(lambda lines: "Hm." in lines, "the answer")
    assert asked(keeping) == ["First\nsecond"]


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("/ret\t", ">>> /retry"),
        ("/help un\t", ">>> /help undo"),
        ("/set temp\t", ">>> /set temperature"),
        ("/set overflow su\t", ">>> /set overflow summarize"),
        ("/goto 1\t", ">>> /goto 1"),
        ("/file no\t", ">>> /file notes.txt"),
        ("/model de\t", ">>> /model demo"),
        ("/model pir\t", ">>> /model pirate.gguf"),
        ("/adapter pir\t", ">>> /adapter pirate.gguf"),
        ("ret\tx", ">>> retx"),
    ],
)
def test_tab_completes_commands_and_their_arguments(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, completed: str
) -> None:
    for name in ("notes.txt", "pirate.gguf", "pirate.txt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    screen = start()
    screen.clear()
    screen.type(typed)
    screen.await_line(completed)


def test_tab_completes_the_turns_of_the_conversation(start: Start) -> None:
    screen = start()
    screen.send("Why?", "Hm.")
    screen.send("/retry", "Hm.")
    screen.send("And then?", "Hm.")
    screen.clear()
    screen.type("/goto 2\t\r")
    screen.await_lines(lambda lines: lines[-1:] == [">>>"] and "Hm." in lines, "where it went")


def test_keys_that_are_pressed_during_an_answer_wait_for_the_next_line(start: Start, keeping: KeepingDaemon) -> None:
    screen = start()
    keeping.may_finish.clear()
    screen.clear()
    screen.type("Why?\r")
    screen.await_lines(lambda lines: any(line.startswith("Hm.") for line in lines), "the answer")
    screen.type("And n")
    keeping.may_finish.set()
    lines = screen.await_line(">>> And n")
    assert [line for line in lines if "And" in line] == [">>> And n"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_chat_and_leaves_the_terminal_as_it_was(start: Start, number: int) -> None:
    screen = start()
    screen.signal(number)
    code, seen = screen.rest()
    assert (code, screen.modes) == (-number, screen.modes_at_first)
    assert "\x1b[?2004l" in seen


def test_a_signal_during_an_answer_leaves_the_terminal_as_it_was(start: Start, keeping: KeepingDaemon) -> None:
    screen = start()
    keeping.may_finish.clear()
    screen.clear()
    screen.type("Why?\r")
    screen.await_lines(lambda lines: any(line.startswith("Hm.") for line in lines), "the answer")
    screen.signal(signal.SIGTERM)
    code, seen = screen.rest()
    assert (code, screen.modes) == (-signal.SIGTERM, screen.modes_at_first)
    assert "\x1b[?25h" in seen
    keeping.may_finish.set()


@pytest.fixture
def plain(keeping: KeepingDaemon, terminals: list[Terminal]) -> Terminal:
    """A chat at a terminal that can do nothing."""
    keeping.answers = [answer("Water."), answer("Pond."), answer("Wet.")]
    terminals.append(terminal := Terminal("chat", "demo"))
    terminal.await_text(">>> ")
    return terminal


def test_a_plain_line_knows_the_commands_too(plain: Terminal, keeping: KeepingDaemon) -> None:
    plain.type("What is a river?\n")
    plain.await_text("Water.\r\n")
    plain.await_text(">>> ")
    plain.type("/edit\n")
    plain.await_text("It was:\r\nWhat is a river?\r\n>>> ")
    plain.type("\n")
    plain.await_text("All is left as it was.\r\n>>> ")
    plain.type("/edit\n")
    plain.await_text(">>> ")
    plain.type("What is a lake?\n")
    plain.await_text("Pond.\r\n")
    plain.await_text(">>> ")
    plain.type("/exit\n")
    assert plain.rest()[0] == 0
    assert [(request.messages[-1].text, request.after) for request in keeping.asked] == [
        ("What is a river?", None),
        ("What is a lake?", 0),
    ]


def test_a_plain_line_offers_what_another_window_came_before(plain: Terminal, keeping: KeepingDaemon) -> None:
    plain.type("What is a river?\n")
    plain.await_text("Water.\r\n")
    plain.await_text(">>> ")
    keeping.sessions.go_to(keeping.sessions.latest().id, "0")
    plain.type("And a lake?\n")
    plain.await_text("/retry sends it.")
    plain.await_text(">>> ")
    plain.type("/retry\n")
    plain.await_text("Pond.")
    assert [message.text for message in keeping.sessions.latest().messages] == ["And a lake?", "Pond."]


def test_where_stdout_is_no_terminal_it_gets_the_answers_alone(
    keeping: KeepingDaemon, terminals: list[Terminal], tmp_path: Path
) -> None:
    keeping.answers = [answer("Water."), answer("Pond.")]
    with (tmp_path / "answers").open("wb") as answers:
        terminals.append(terminal := Terminal("chat", "demo", kind="xterm-256color", stdout=answers))
    terminal.await_text(">>> ")
    terminal.type("What is a river?\n")
    terminal.await_text(">>> ")
    terminal.type("/goto\n")
    terminal.await_text("→ 1  What is a river?")
    terminal.await_text(">>> ")
    terminal.type("/retry\n")
    terminal.await_text(">>> ")
    terminal.type("\x04")
    assert terminal.rest()[0] == 0
    assert (tmp_path / "answers").read_text() == "Water.\nPond.\n"


def test_where_stderr_is_no_terminal_no_prompt_goes_there(
    keeping: KeepingDaemon, terminals: list[Terminal], tmp_path: Path
) -> None:
    keeping.answers = [answer("Water.")]
    with (tmp_path / "answers").open("wb") as answers, (tmp_path / "notices").open("wb") as notices:
        terminals.append(terminal := Terminal("chat", "demo", stdout=answers, stderr=notices))
    terminal.type("What is a river?\n\x04")
    assert terminal.rest()[0] == 0
    assert ((tmp_path / "answers").read_text(), (tmp_path / "notices").read_text()) == ("Water.\n", "\n")


def test_a_long_text_is_pasted_whole(start: Start, keeping: KeepingDaemon) -> None:
    text = "\n".join(f"Line {number} of a long text that somebody pastes." for number in range(400))
    screen = start()
    screen.clear()
    screen.type(f"\x1b[200~{text}\x1b[201~")
    screen.await_lines(lambda lines: lines[-1:] == [f"... {text.splitlines()[-1]}"], "the end of the text")
    screen.type("\r")
    screen.await_lines(lambda lines: "Hm." in lines, "the answer")
    assert asked(keeping) == [text]
