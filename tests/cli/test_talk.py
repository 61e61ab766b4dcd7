"""The commands that are typed in a conversation, at a terminal that can do what xterm can."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import answer, model_status, stats
from cli.keeping_daemon import KeepingDaemon
from cli.terminal import Screen
from said import say

from erllama_cli.sessions.portable import Conversations
from erllama_cli.talk.commands import COMMANDS
from erllama_cli.talk.settings import SETTINGS
from erllama_daemon.messages import (
    Accepted,
    AdapterChoice,
    Done,
    Failure,
    Loaded,
    Message,
    Queued,
    Session,
    Thinking,
    Token,
    Tokenized,
    TokenizeRequest,
)

Start = Callable[..., Screen]


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts a chat at a screen of its own."""
    request.getfixturevalue("keeping")
    screens: list[Screen] = []

    def _start(*arguments: str, lines: int = 24) -> Screen:
        screens.append(screen := Screen("chat", *(arguments or ("demo",)), lines=lines))
        screen.await_prompt()
        return screen

    yield _start
    for screen in screens:
        screen.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the chat runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(*exchanges: tuple[str, str]) -> list[Message]:
    return [
        message
        for question, reply in exchanges
        for message in (Message("user", [question]), Message("assistant", [reply]))
    ]


def latest(keeping: KeepingDaemon) -> Session:
    return keeping.sessions.latest()


def talked(start: Start, keeping: KeepingDaemon, *exchanges: tuple[str, str]) -> Screen:
    """A chat in which so much was said."""
    screen = start()
    keeping.answers = [answer(reply) for _question, reply in exchanges]
    for question, reply in exchanges:
        screen.send(question, reply)
    return screen


RIVERS = (("What is a river?", "Water."), ("And a lake?", "Still water."))


def test_help_explains_every_command(start: Start) -> None:
    shown = start(lines=40).send("/help", "/exit", "Ctrl-D leaves")
    assert [name for name in COMMANDS if f"/{name} " not in shown] == []


def test_help_explains_one_command_with_or_without_its_slash(start: Start) -> None:
    screen = start()
    screen.send("/help goto", "/goto [TURN]", "Go on from any turn")
    screen.send("/help /undo", "Take the last turn back")
    screen.send("/help nonsense", "There is no command /nonsense.")


def test_an_unknown_command_names_near_ones_and_sends_nothing(start: Start, keeping: KeepingDaemon) -> None:
    screen = start()
    screen.send("/rety", "There is no command /rety.", "Did you mean /retry")
    assert "Did you mean" not in screen.send("/nope", "There is no command /nope.")
    assert keeping.asked == []


def test_a_command_with_a_wrong_argument_says_how_it_is_used(start: Start) -> None:
    screen = start()
    screen.send("/undo twice", "It is used so: /undo.")
    screen.send("/save", "It is used so: /save FILE.")
    assert "--help" not in screen.send("/set temperature hot", "/set shows all settings")
    screen.send("/set temp 9", "there is no setting 'temp'; there is temperature.", "/set shows all settings")


def test_two_slashes_send_one(start: Start, keeping: KeepingDaemon) -> None:
    keeping.answers = [answer("Users.")]
    start().send("//home holds what?", "Users.")
    assert keeping.asked[0].messages == [Message("user", ["/home holds what?"])]


def test_every_turn_says_which_one_was_seen_last(start: Start, keeping: KeepingDaemon) -> None:
    talked(start, keeping, *RIVERS)
    assert [request.seen for request in keeping.asked] == [0, 1]
    assert [request.after for request in keeping.asked] == [None, None]


def test_retry_asks_the_last_question_in_its_place(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, *RIVERS)
    keeping.answers = [answer("A big puddle."), answer("A small sea.")]
    screen.send("/retry", "A big puddle.")
    screen.send("/retry", "A small sea.")
    assert [request.after for request in keeping.asked[2:]] == [1, 1]
    assert [request.messages for request in keeping.asked[1:]] == [[Message("user", ["And a lake?"])]] * 3
    assert [request.seen for request in keeping.asked[2:]] == [2, 3]
    assert latest(keeping).messages == said(RIVERS[0], ("And a lake?", "A small sea."))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-t", "0"], "At temperature 0 the answer is likely to be the same; /set temperature changes that."),
        (["--seed", "7"], "With the same seed the answer is likely to be the same; /set seed random draws another."),
    ],
)
def test_retry_says_when_the_answer_will_hardly_be_another(
    start: Start, keeping: KeepingDaemon, options: list[str], told: str
) -> None:
    keeping.answers = [[Failure("some", "It broke.", None, 1)], answer("Water."), answer("Water.")]
    screen = start("demo", *options)
    screen.send("What is a river?", "It broke.")
    assert told not in screen.send("/retry", "Water.")
    screen.send("/retry", told, "Water.")


def test_retry_after_another_seed_was_set_says_nothing(start: Start, keeping: KeepingDaemon) -> None:
    keeping.answers = [answer("Water."), answer("Water.")]
    screen = start("demo", "--seed", "7")
    screen.send("What is a river?", "Water.")
    screen.send("/set seed 8", "seed: 8")
    assert "likely to be the same" not in screen.send("/retry", "Water.")


def test_an_answer_that_was_kept_later_is_gone_on_from(start: Start, keeping: KeepingDaemon) -> None:
    keeping.answers = [[Token("Water."), Failure("turn_unwritten", "The disk is full.", None, 1)], answer("Pond.")]
    screen = start()
    screen.send("What is a river?", "Water.", "The disk is full.")
    session = latest(keeping).id
    keeping.sessions.add_turn(session, keeping.say(session, keeping.asked[0], "Water."))
    assert "elsewhere" not in screen.send("And a lake?", "Pond.")
    assert latest(keeping).messages == said(RIVERS[0], ("And a lake?", "Pond."))


def test_retry_of_the_first_question_keeps_its_system_prompt(start: Start, keeping: KeepingDaemon) -> None:
    keeping.answers = [answer("Arr."), answer("Yarr.")]
    screen = start("demo", "-s", "You are a pirate.")
    screen.send("Hello", "Arr.")
    screen.send("/retry", "Yarr.")
    assert [message.role for message in keeping.asked[1].messages] == ["system", "user"]
    assert keeping.asked[1].after == 0


def test_a_question_that_failed_is_asked_again_by_retry(start: Start, keeping: KeepingDaemon) -> None:
    keeping.answers = [[Failure("some", "It broke.", None, 1)], answer("Water.")]
    screen = start()
    screen.send("What is a river?", "It broke.")
    screen.send("/retry", "Water.")
    assert keeping.asked[1].after is None
    assert latest(keeping).messages == said(RIVERS[0])


def test_nothing_that_was_asked_before_is_obeyed_by_the_terminal(keeping: KeepingDaemon, start: Start) -> None:
    session = keeping.sessions.create("demo")
    keeping.sessions.ask(session.id, [Message("user", ["\x1b]0;owned\x07Why?"])])
    screen = start("--continue")
    assert any("Not answered yet: \\x1b]0;owned\\x07Why?" in line for line in screen.lines)
    assert "\x1b]0;" not in screen.seen


def test_retry_asks_what_was_not_answered_before_the_chat_was_resumed(start: Start, keeping: KeepingDaemon) -> None:
    session = keeping.sessions.create("demo")
    keeping.sessions.ask(session.id, [Message("user", ["Why?"])])
    screen = start("--continue")
    screen.await_lines(lambda lines: any("Not answered yet: Why?" in line for line in lines), "the question")
    keeping.answers = [answer("Because.")]
    screen.send("/retry", "Because.")
    assert latest(keeping).messages == said(("Why?", "Because."))


def test_retry_after_a_resume_asks_in_the_place_where_the_question_was_asked(
    start: Start, keeping: KeepingDaemon
) -> None:
    session, status = keeping.sessions.create("demo").id, model_status()
    keeping.loading = [Loaded(status)]
    first, _second = (say(keeping.sessions, session, said(pair), b"", bytes(32), status.fingerprint) for pair in RIVERS)
    keeping.sessions.ask(session, [Message("user", ["And a pond?"])], first)
    screen = start("--continue")
    screen.await_lines(lambda lines: any("Not answered yet: And a pond?" in line for line in lines), "the question")
    keeping.answers = [answer("A small lake.")]
    screen.send("/retry", "A small lake.")
    assert keeping.asked[-1].after == first
    assert latest(keeping).messages == said(RIVERS[0], ("And a pond?", "A small lake."))


@pytest.mark.parametrize("command", ["/retry", "/undo", "/edit", "/fork", "/goto", "/copy", "/save x", "/tokens"])
def test_before_anything_was_said_there_is_nothing_to_go_back_to(start: Start, command: str) -> None:
    start().send(command, "Nothing was said in this conversation yet.")


def test_undo_goes_back_turn_by_turn_and_loses_nothing(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, *RIVERS)
    screen.send("/undo", "Turn 2 is taken back; /goto 2 returns to it.", ">>> What is a river?", "Water.")
    assert latest(keeping).messages == said(RIVERS[0])
    screen.send("/undo", "At the beginning")
    assert latest(keeping).turn is None
    screen.send("/undo", "Nothing was said")
    screen.send("/goto 2", "Still water.")
    assert latest(keeping).messages == said(*RIVERS)
    keeping.answers = [answer("Wet.")]
    screen.send("And the sea?", "Wet.")
    assert keeping.asked[-1].seen == 2


def test_after_undo_to_the_beginning_the_system_prompt_still_counts(start: Start, keeping: KeepingDaemon) -> None:
    keeping.answers = [answer("Arr."), answer("Yarr.")]
    screen = start("demo", "-s", "You are a pirate.")
    screen.send("Hello", "Arr.")
    screen.send("/undo", "At the beginning")
    screen.send("Hi", "Yarr.")
    assert keeping.asked[1].messages == [Message("system", ["You are a pirate."]), Message("user", ["Hi"])]


def test_edit_puts_the_question_into_the_line_and_asks_it_in_its_place(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, *RIVERS)
    screen.clear()
    screen.type("/edit\r")
    screen.await_line(">>> And a lake?")
    keeping.answers = [answer("Frozen water.")]
    screen.type(" In winter?\r")
    screen.await_lines(lambda lines: "Frozen water." in lines and lines[-1] == ">>>", "the answer")
    assert keeping.asked[-1].after == 1
    assert latest(keeping).messages == said(RIVERS[0], ("And a lake? In winter?", "Frozen water."))


def test_edit_that_is_left_changes_nothing(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, *RIVERS)
    screen.clear()
    screen.type("/edit\r")
    screen.await_line(">>> And a lake?")
    screen.type("\x03")
    screen.await_prompt()
    keeping.answers = [answer("Wet.")]
    screen.send("And the sea?", "Wet.")
    assert keeping.asked[-1].after is None
    assert latest(keeping).messages == said(*RIVERS, ("And the sea?", "Wet."))


def test_fork_goes_on_in_a_copy_and_names_both(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, *RIVERS)
    old = latest(keeping)
    shown = screen.send("/fork the other way", "You are now in 'the other way'", f"stays as it is: {old.id}")
    new = keeping.sessions.find("the other way")
    assert new.id in shown
    keeping.answers = [answer("Wet.")]
    screen.send("And the sea?", "Wet.")
    assert keeping.asked[-1].session == new.id
    assert keeping.sessions.get(old.id).messages == said(*RIVERS)
    assert keeping.sessions.get(new.id).messages == said(*RIVERS, ("And the sea?", "Wet."))
    screen.send("/fork the other way", "There is a conversation called 'the other way' already")
    screen.type("\x04")
    assert f"--session {new.id}" in screen.rest()[1]


def test_goto_lists_all_turns_and_goes_to_any(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, *RIVERS)
    keeping.answers = [answer("A puddle.")]
    screen.send("/retry", "A puddle.")
    shown = screen.send("/goto", "· 1 What", "2.1 And a lake?", "→ 2.2 And a lake?")
    assert "· 2.1" not in shown
    screen.send("/goto 2.1", "Still water.")
    assert latest(keeping).messages == said(*RIVERS)
    screen.send("/goto 0", "At the beginning")
    screen.send("/goto 7", "has no turn 7")
    screen.send("/goto 1", "Water.")
    assert latest(keeping).messages == said(RIVERS[0])


def test_system_takes_the_place_of_the_prompt_in_force(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, RIVERS[0])
    screen.send("/system", "There is no system prompt.")
    screen.send("/system Be brief.", "The system prompt: Be brief.", "read again")
    keeping.answers = [answer("Pond."), answer("Sea."), answer("Brook.")]
    screen.send("And a lake?", "Pond.")
    screen.send("And an ocean?", "Sea.")
    screen.send("/system off", "There is no system prompt.", "read again")
    screen.send("And a stream?", "Brook.")
    system, off = Message("system", ["Be brief."]), Message("system", [""])
    asked = [Message("user", [text]) for text in ("And a lake?", "And an ocean?", "And a stream?")]
    assert [request.messages for request in keeping.asked[1:]] == [[system, asked[0]], [asked[1]], [off, asked[2]]]
    screen.send("/system", "There is no system prompt.")


def test_set_shows_all_settings_and_changes_them(start: Start, keeping: KeepingDaemon) -> None:
    screen = start("demo", "-t", "0.5")
    shown = screen.send("/set", "temperature", "status")
    assert [key for key in SETTINGS if key not in shown] == []
    for line, told in {
        "temperature 0": "temperature: 0",
        "top-k 7": "top-k: 7",
        "top_p 0.5": "top-p: 0.5",
        "min-p 0.1": "min-p: 0.1",
        "repeat-penalty 1.1": "repeat-penalty: 1.1",
        "seed 42": "seed: 42",
        "max-tokens 12": "max-tokens: 12",
        "overflow drop": "overflow: drop",
        "thinking off": "thinking: off",
        "markdown off": "markdown: off",
    }.items():
        screen.send(f"/set {line}", told)
    keeping.answers = [answer("Water.")]
    screen.send("What is a river?", "Water.")
    request = keeping.asked[0]
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p) == (0, 7, 0.5, 0.1)
    assert (sampling.repeat_penalty, sampling.seed) == (1.1, 42)
    assert (request.max_tokens, request.overflow) == (12, "drop")
    screen.send("/set seed random", "seed: random")
    screen.send("/set temperature default", "temperature: 0.8")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("temperature hot", "temperature takes a number, not 'hot'"),
        ("temperature -1", "temperature must be a 32-bit number from 0 up"),
        ("top-k 1.5", "top-k takes a whole number, not '1.5'"),
        ("top-p 2", "top-p must lie between 0 and 1"),
        ("seed -1", "seed must lie between 0 and 4294967294"),
        ("max-tokens 0", "max-tokens must be 1 or more"),
        ("overflow explode", "overflow takes stop or drop or summarize"),
        ("stats maybe", "stats takes on or off"),
        ("temprature 1", "there is no setting 'temprature'; there is temperature"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_as_the_option_is(start: Start, setting: str, told: str) -> None:
    start().send(f"/set {setting}", told)


def test_figures_follow_each_answer_if_wanted(start: Start, keeping: KeepingDaemon) -> None:
    screen = start()
    screen.send("/set stats on", "stats: on")
    keeping.answers = [answer("Water."), answer("Pond.")]
    screen.send("What is a river?", "1 token, 1000.0 tok/s; 0 of 4 prompt tokens from the cache")
    screen.send("And a lake?", "5 of 8 prompt tokens from the cache")


def test_a_status_line_stands_under_the_prompt_if_wanted(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, RIVERS[0])
    screen.clear()
    screen.type("/set status on\r")
    status = "demo · 5 of 8,192 tokens · 0 cached · 1000.0 tok/s"
    screen.await_lines(lambda lines: lines[-1].strip() == status, "the status line")
    screen.type("/set status off\r")
    screen.await_lines(lambda lines: lines[-2:] == ["status: off", ">>>"], "no status line")


def test_a_file_goes_before_the_next_question_alone(start: Start, keeping: KeepingDaemon, folder: Path) -> None:
    (folder / "a text.md").write_text("Llamas hum.\n")
    (folder / "b.txt").write_text("Rivers do not.\n")
    screen = start()
    screen.send("/file", "No file goes with your next message.")
    screen.send("/file 'a text.md'", "12 B, 1 line.")
    screen.send("/file b.txt", "a text.md goes with", "b.txt goes with")
    keeping.answers = [[Failure("some", "It broke.", None, 1)], answer("Llamas."), answer("Rivers.")]
    screen.send("Who hums?", "It broke.")
    screen.send("/retry", "Llamas.")
    screen.send("Who does not?", "Rivers.")
    parts = ["Llamas hum.\n", "\n\nRivers do not.\n", "\n\nWho hums?"]
    assert [request.messages[0].parts for request in keeping.asked] == [parts, parts, ["Who does not?"]]
    screen.send("/goto", "→ 2 Who does not?", "· 1 Who hums?")


def test_files_can_be_taken_back(start: Start, folder: Path) -> None:
    (folder / "a.txt").write_text("Llamas hum.\n")
    screen = start()
    screen.send("/file a.txt", "goes with your next message")
    screen.send("/file off", "No file goes with your next message.")


def test_a_file_that_cannot_be_read_is_named(start: Start, folder: Path) -> None:
    (folder / "latin").write_bytes(b"caf\xe9")
    (folder / "empty").touch()
    with (folder / "big").open("wb") as big:
        big.truncate((16 << 20) + 1)
    screen = start()
    screen.send("/file none", "none cannot be read: no such file or directory")
    screen.send("/file .", "cannot be read: is a directory")
    screen.send("/file latin", "latin is not UTF-8 text (byte 3)")
    screen.send("/file empty", "empty is empty")
    screen.send("/file big", "big has more than 16,777,216 bytes")


def test_stats_show_where_the_conversation_stands(start: Start, keeping: KeepingDaemon) -> None:
    screen = start()
    screen.send("/stats", "model", "demo", "context", "0 tokens", "kept", "yes, at every turn")
    keeping.answers = [answer("Water.")]
    screen.send("What is a river?", "Water.")
    screen.send("/stats", "5 of 8,192 tokens", "0 cached, 4 read, 1 answered", "1000.0 tok/s", "yes, on disk")


def test_tokens_counts_each_turn_or_a_text(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, *RIVERS)
    screen.send("/tokens", "1 5 What is a river?", "2 5 And a lake?", "Together: 10 of 8,192 tokens.")
    keeping.reply = Tokenized(tokens=[1, 2, 3], pieces=["a", "b", "c"])
    screen.send("/tokens Why do llamas hum?", "3 tokens.")
    assert keeping.calls == [("/v1/tokenize", TokenizeRequest(model="demo", text="Why do llamas hum?"))]


def test_tokens_marks_a_turn_that_the_model_was_shown_shortened(start: Start, keeping: KeepingDaemon) -> None:
    session, status = keeping.sessions.create("demo").id, model_status()
    keeping.loading = [Loaded(status)]
    for pair, length in zip(RIVERS, (9, 4), strict=True):
        say(keeping.sessions, session, said(pair), b"\1\0\0\0" * length, bytes(32), status.fingerprint)
    start("--session", session).send(
        "/tokens", "1 9 What is a river?", "2 4* And a lake?", "* All that", "Together: 4 tokens."
    )


def test_copy_hands_the_last_answer_to_the_terminal(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, *RIVERS)
    screen.send("/copy", "12 characters")
    assert f"\x1b]52;c;{base64.b64encode(b'Still water.').decode()}\x07" in screen.seen


def test_save_writes_markdown_or_json_and_over_no_file(start: Start, keeping: KeepingDaemon, folder: Path) -> None:
    screen = talked(start, keeping, *RIVERS)
    file = folder / "chat.md"
    screen.send("/save chat.md", "holds the conversation: 2 turns")
    assert "What is a river?" in file.read_text()
    file.write_text("mine")
    screen.send("/save chat.md", "There is a file", "/save!")
    assert file.read_text() == "mine"
    screen.send("/save! chat.md", "holds the conversation")
    assert "Still water." in file.read_text()
    screen.send("/save chat.json", "holds the conversation")
    saved = msgspec.json.decode((folder / "chat.json").read_bytes(), type=Conversations)
    assert [turn.messages[-1].text for turn in saved.conversations[0].said()] == ["Water.", "Still water."]
    screen.send("/save none/chat.md", "cannot be written to none/chat.md: no such file or directory")
    screen.send("/save! .", "cannot be written to .: it is a folder")


def test_model_shows_the_model_or_goes_on_with_another(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, RIVERS[0])
    screen.send("/model", "The model is demo")
    screen.send("/model demo", "The model is demo already.")
    screen.send("/model missing", "There is no model missing.")
    screen.send("/model ./none.gguf", "There is no model none.gguf.")
    screen.send("/model other", "It goes on with other", "read again")
    assert latest(keeping).model == "other"
    screen.send("/model", "The model is other")


def test_adapter_is_used_from_the_next_turn_on(start: Start, keeping: KeepingDaemon, folder: Path) -> None:
    (folder / "pirate.gguf").touch()
    screen = talked(start, keeping, RIVERS[0])
    screen.send("/adapter", "No adapter is used")
    screen.send("/adapter none.gguf", "none.gguf cannot be used: there is no such file")
    screen.send("/adapter pirate.gguf=0.5", "at 0.5 of its strength", "read again")
    keeping.answers = [answer("Arr."), answer("Pond.")]
    screen.send("Hello", "Arr.")
    screen.send("/adapter off", "No adapter is used")
    screen.send("And a lake?", "Pond.")
    used = [request.adapters for request in keeping.asked[1:]]
    assert used == [[AdapterChoice(str(folder / "pirate.gguf"), 0.5)], []]


def test_thinking_shows_what_was_thought_last(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, RIVERS[0])
    screen.send("/thinking", "Nothing was thought before the last answer.")
    keeping.answers = [answer("I thought.")]
    screen.send("Did you think?", "I thought.")
    screen.send("/thinking", "Let me see.")


def test_exit_leaves_and_says_how_to_come_back(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, RIVERS[0])
    screen.clear()
    screen.type("/exit\r")
    code, rest = screen.rest()
    assert (code, f"erllama chat --session {latest(keeping).id}" in rest) == (0, True)


def test_what_was_said_elsewhere_is_shown_before_a_question_is_asked(
    start: Start, keeping: KeepingDaemon, run: Run
) -> None:
    screen = talked(start, keeping, RIVERS[0])
    keeping.answers = [answer("Still water."), answer("Wet.")]
    assert run("chat", "--session", latest(keeping).id, stdin="And a lake?").exit_code == 0
    screen.clear()
    screen.type("And the sea?\r")
    shown = " ".join(screen.await_lines(lambda lines: lines.count(">>> And the sea?") == 2, "the line again"))
    assert "went on elsewhere: 1 turn more" in shown
    assert ">>> And a lake? Still water." in shown
    assert "It is in the line again." in shown
    screen.type("\r")
    screen.await_lines(lambda lines: "Wet." in lines, "the answer")
    assert latest(keeping).messages == said(*RIVERS, ("And the sea?", "Wet."))


@pytest.mark.parametrize("command", ["/undo", "/retry", "/edit", "/fork", "/goto 1"])
def test_no_command_goes_past_what_was_said_elsewhere(
    start: Start, keeping: KeepingDaemon, run: Run, command: str
) -> None:
    screen = talked(start, keeping, RIVERS[0])
    keeping.answers = [answer("Still water.")]
    assert run("chat", "--session", latest(keeping).id, stdin="And a lake?").exit_code == 0
    screen.send(command, "went on elsewhere", "Still water.", "Nothing was done")
    assert latest(keeping).messages == said(*RIVERS)
    assert len(keeping.sessions.summaries()) == 1


def test_going_back_in_another_window_is_noticed_too(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, *RIVERS)
    keeping.sessions.go_to(latest(keeping).id, "1")
    screen.clear()
    screen.type("And the sea?\r")
    lines = screen.await_lines(lambda lines: lines.count(">>> And the sea?") == 2, "the line again")
    assert "taken back elsewhere, to this: >>> What is a river? Water." in " ".join(lines)


def test_an_answer_that_ctrl_c_stopped_is_a_turn_to_go_on_from(start: Start, keeping: KeepingDaemon) -> None:
    screen = talked(start, keeping, RIVERS[0])
    keeping.hangs = True
    keeping.answers = [answer("Still water.")[:1], answer("Wet.")]
    screen.clear()
    screen.type("And a lake?\r")
    screen.await_lines(lambda lines: any(line.startswith("Still water.") for line in lines), "the answer")
    screen.type("\x03")
    screen.send("And the sea?", "Wet.")
    assert keeping.asked[-1].seen == 2
    assert latest(keeping).messages == said(*RIVERS, ("And the sea?", "Wet."))


def stopped(text: str) -> Done:
    return Done(msgspec.structs.replace(stats(text), cancelled=True, finish_reason="cancelled"))


def test_after_ctrl_c_all_that_is_kept_of_the_answer_is_shown(start: Start, keeping: KeepingDaemon) -> None:
    keeping.answers, keeping.last_words = [[Accepted(7), Token("Still"), Token(" water."), stopped("")]], [" water."]
    keeping.may_finish.clear()
    screen = start()
    screen.type("What is a lake?\r")
    screen.await_lines(lambda lines: "Still" in lines, "the answer")
    screen.type("\x03")
    lines = screen.await_prompt()
    assert (lines[-4:-2], keeping.cancelled) == (["Still water.", "[stopped]"], [7])
    assert latest(keeping).messages == said(("What is a lake?", "Still water."))
    keeping.answers = [answer("Wet.")]
    screen.send("And the sea?", "Wet.")
    assert keeping.asked[-1].seen == 1


def test_a_second_ctrl_c_waits_for_no_last_word(start: Start, keeping: KeepingDaemon) -> None:
    keeping.answers, keeping.last_words = [[Accepted(7), Token("Still"), Token(" water."), stopped("")]], [" water."]
    keeping.may_finish.clear()
    keeping.ends_when_cancelled = False
    screen = start()
    screen.type("What is a lake?\r")
    screen.await_lines(lambda lines: "Still" in lines, "the answer")
    screen.type("\x03")
    screen.await_lines(lambda _lines: keeping.cancelled == [7], "the first")
    screen.type("\x03")
    screen.await_lines(lambda lines: lines[-1] == "Still" and screen.cursor[0] == 0, "the line's end")
    keeping.may_finish.set()
    assert "Still water." not in screen.await_prompt()
    assert latest(keeping).messages == said(("What is a lake?", "Still water."))


def test_a_question_that_was_accepted_and_stopped_at_once_is_there_for_retry_with_its_system_prompt(
    start: Start, keeping: KeepingDaemon
) -> None:
    keeping.answers = [[Accepted(7), Thinking("Let me see."), stopped("")], answer("Arr.")]
    keeping.may_finish.clear()
    screen = start("demo", "-s", "You are a pirate.")
    screen.type("Hello\r")
    screen.await_lines(lambda lines: any("Let me see." in line for line in lines), "the thought")
    screen.type("\x03")
    screen.await_lines(lambda lines: any("/retry asks it again" in line for line in lines), "what became of it")
    screen.send("/retry", "Arr.")
    assert [message.role for message in keeping.asked[1].messages] == ["system", "user"]


def test_a_named_conversation_is_resumed_by_its_name_and_names_no_option_of_the_shell(
    start: Start, keeping: KeepingDaemon
) -> None:
    keeping.answers = [[Token("Water"), Done(msgspec.structs.replace(stats(""), finish_reason="length"))]]
    screen = start("demo", "--session", "rivers & lakes")
    screen.send("What is a river?", "see /set max-tokens]")
    screen.clear()
    screen.type("/exit\r")
    assert "Resume with: erllama chat --session 'rivers & lakes'\r\n" in screen.rest()[1]


def test_what_is_told_breaks_between_words_at_the_width_of_the_terminal(start: Start) -> None:
    screen = start(lines=40)
    assert screen.lines[:2] == [
        "A conversation with demo. Ctrl-C stops an answer, Ctrl-D leaves, /help says",
        "more.",
    ]
    screen.send("/help", "Ctrl-D leaves")
    assert [line for line in screen.lines if line.endswith("Ctrl-") or line.startswith("R looks")] == []


def test_a_question_that_ctrl_c_stopped_before_its_answer_is_there_for_retry(
    start: Start, keeping: KeepingDaemon
) -> None:
    screen = talked(start, keeping, RIVERS[0])
    keeping.hangs = True
    keeping.answers = [[Queued(1)], answer("Still water.")]
    screen.clear()
    screen.type("And a lake?\r")
    screen.await_lines(lambda _lines: len(keeping.asked) == 2, "the question")
    screen.type("\x03")
    screen.await_lines(lambda lines: any("/retry asks it again" in line for line in lines), "what became of it")
    screen.send("/retry", "Still water.")
    assert latest(keeping).messages == said(*RIVERS)


def test_with_json_each_turn_is_one_object_and_commands_still_work(start: Start, keeping: KeepingDaemon) -> None:
    keeping.answers = [answer("Water.")]
    screen = start("demo", "--json")
    screen.send("What is a river?", '{"text":"Water."')
    screen.send("/goto", "→ 1 What is a river?")


def test_quiet_says_nothing_unasked(start: Start, keeping: KeepingDaemon) -> None:
    keeping.answers = [answer("Water.")]
    screen = start("demo", "-q")
    assert screen.lines == [">>>"]
    screen.send("What is a river?", "Water.")
    screen.send("/goto", "→ 1 What is a river?")
    screen.clear()
    screen.type("\x04")
    assert "Resume" not in screen.rest()[1]


def test_a_private_conversation_can_be_saved_to_read_but_not_to_go_on(
    start: Start, keeping: KeepingDaemon, folder: Path
) -> None:
    keeping.answers = [answer("Water.")]
    screen = start("demo", "--private")
    screen.send("What is a river?", "Water.")
    screen.send("/save chat.json", "a private conversation is not taken elsewhere")
    screen.send("/save chat.md", "chat.md holds the conversation: 1 turn")
    screen.send("/fork", "a private conversation cannot be forked")
    screen.send("/stats", "kept no: it is private")
    assert "Water." in (folder / "chat.md").read_text()
