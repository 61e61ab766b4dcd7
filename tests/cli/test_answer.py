"""How an answer is drawn besides its text: progress, thinking and notices."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from cli.conftest import Run
from cli.drawn_screen import DrawnScreen, DrawnTerminal
from cli.fake_daemon import FakeDaemon, answer, model_status, stats
from cli.terminal import Terminal

from erllama_cli.answer import print_result
from erllama_cli.drawing.folded_thoughts import FoldedThoughts
from erllama_cli.drawing.markdown_text import MarkdownText
from erllama_cli.drawing.progress import Bar, Waiting
from erllama_cli.figures import stats_line
from erllama_cli.options import DisplayOptions
from erllama_daemon.errors import EXIT_INTERRUPTED, EXIT_USAGE
from erllama_daemon.messages import (
    Accepted,
    Done,
    Failure,
    Loaded,
    Loading,
    Prefilling,
    Queued,
    Stats,
    Summarizing,
    Thinking,
    Token,
)

EVERY_EVENT = [
    Accepted(7),
    Loading("demo", 0.5),
    Queued(3),
    Prefilling(1, 7, 0),
    Thinking("Let me"),
    Thinking(" see."),
    *answer("Because."),
]


def test_thinking_is_hidden_in_pipes(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [EVERY_EVENT]
    done = run("run", "demo", "Why?")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "Because.\n", "")


def test_thinking_that_is_asked_for_goes_to_stderr(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [EVERY_EVENT, EVERY_EVENT, [Thinking("Hm"), Done(stats(""))]]
    done = run("run", "demo", "Why?", "--thinking")
    assert (done.stdout, done.stderr) == ("Because.\n", "Let me see.\n")
    done = run("chat", "demo", "--thinking", "-q", stdin="Why?")
    assert (done.stdout, done.stderr) == ("Because.\n", "Let me see.\n")
    done = run("run", "demo", "Why?", "--thinking")
    assert (done.stdout, done.stderr) == ("", "Hm\n")


def test_with_json_thinking_is_in_the_object_alone(run: Run, fake: FakeDaemon) -> None:
    thought = msgspec.structs.replace(stats("Because."), thinking="Let me see.")
    fake.answers = [[Thinking("Let me see."), Token("Because."), Done(thought)]]
    done = run("run", "demo", "Why?", "--json", "--thinking")
    assert (msgspec.json.decode(done.stdout, type=Stats), done.stderr) == (thought, "")


def _asked(terminals: list[Terminal], *options: str, kind: str = "xterm") -> DrawnTerminal:
    """A terminal at which a question has been typed."""
    terminals.append(terminal := DrawnTerminal("run", "demo", "-", *options, kind=kind))
    terminal.type("Why?\n\x04")
    return terminal


def _screen(seen: str) -> DrawnScreen:
    screen = DrawnScreen()
    screen.write(seen)
    return screen


def test_at_a_terminal_an_answer_is_drawn_as_markdown(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.answers = [answer("**Be", "cause**", "\n\n- they", " can\n", "- `hum`\n\n", "```python\nhum()\n", "```")]
    code, seen = _asked(terminals).rest()
    screen = _screen(seen)
    assert (code, screen.lines[1:]) == (
        0,
        ["Because", "", " • they can", " • hum", "", "── python ──────────────────────────────", "hum()", "─" * 40],
    )
    assert "\x1b[1mBecause\x1b[0m" in seen
    assert screen.is_left_as_found


def test_the_first_word_waits_for_nothing(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.answers, fake.hangs = [[Token("**Be")]], True
    terminal = _asked(terminals)
    terminal.await_text("**Be")
    terminal.await_text("\x1b[1mBe\x1b[0m")


@pytest.mark.parametrize(("options", "kind"), [(["--no-markdown"], "xterm"), ([], "dumb")])
def test_at_a_terminal_an_answer_may_stay_as_it_stands(
    fake: FakeDaemon, terminals: list[Terminal], options: list[str], kind: str
) -> None:
    fake.answers = [answer("**Be", "cause**\n\n", "# They can")]
    code, seen = _asked(terminals, *options, kind=kind).rest()
    assert code == 0
    assert seen.endswith("Why?\r\n**Because**\r\n\r\n# They can\r\n")


@pytest.mark.parametrize("options", [[], ["--no-markdown"]])
def test_no_control_character_reaches_a_terminal(
    fake: FakeDaemon, terminals: list[Terminal], options: list[str]
) -> None:
    fake.answers = [[Thinking("\x1b[31m"), *answer("Be\x1b]0;owned\x07", "cause\x9b2J\r\n", "`\x1b[2J`.")]]
    code, seen = _asked(terminals, *options, "--thinking").rest()
    assert (code, _screen(seen).lines[1:3]) == (0, ["\\x1b[31m", "Be\\x1b]0;owned\\x07cause\\x9b2J"])
    assert not re.search("\x1b\\[31m|\x1b\\]0|\x07|\x9b|\x1b\\[2J", seen)


def test_a_pipe_gets_control_characters_as_they_came(run: Run, fake: FakeDaemon) -> None:
    fake.answers = [answer("Be\x1b[2Jcause\r\n")]
    assert run("run", "demo", "Why?").stdout_bytes == b"Be\x1b[2Jcause\r\n"


@pytest.mark.parametrize("options", [[], ["--no-markdown"]])
def test_ctrl_c_leaves_what_came_and_the_terminal_as_it_was(
    fake: FakeDaemon, terminals: list[Terminal], options: list[str]
) -> None:
    fake.answers, fake.hangs = [[Token("One.\n\nTwo"), Token(" and")]], True
    terminal = _asked(terminals, *options)
    terminal.await_text("Two and")
    terminal.type("\x03")
    assert terminal.rest()[0] == EXIT_INTERRUPTED
    assert fake.hung_up.wait(10)
    screen = terminal.screen
    assert screen.is_left_as_found
    assert [line.removesuffix("^C") for line in screen.lines[-3:]] == ["One.", "", "Two and"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_command_leaves_the_terminal_as_it_was(
    fake: FakeDaemon, terminals: list[Terminal], number: int
) -> None:
    fake.answers, fake.hangs = [[Token("One.\n\nTwo"), Token(" and")]], True
    terminal = _asked(terminals)
    terminal.await_text("Two and")
    terminal.signal(number)
    assert terminal.rest()[0] == -number
    assert fake.hung_up.wait(10)
    assert terminal.screen.is_left_as_found
    assert terminal.screen.lines[-3:] == ["One.", "", "Two and"]


def test_ctrl_z_shows_the_cursor_and_what_is_drawn_next_hides_it(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.answers, fake.hangs = [[Token("One.\n\nTwo"), Token(" and")]], True
    terminal = _asked(terminals)
    terminal.await_text("Two and")
    terminal.type("\x1a")
    terminal.await_text("\x1b[?25h")
    terminal.type("\x03")
    assert terminal.rest()[0] == EXIT_INTERRUPTED
    assert terminal.screen.is_left_as_found


def test_a_drawing_that_fails_leaves_the_terminal_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = DrawnScreen()
    monkeypatch.setattr("erllama_cli.drawing.markdown_text.write_text", screen.write)
    monkeypatch.setattr("erllama_cli.drawing.markdown_text.size_of", lambda _stream: screen.size())
    text = MarkdownText()
    text.show("One")
    monkeypatch.setattr("erllama_cli.drawing.document.Document.rest", _fail)
    with pytest.raises(ZeroDivisionError):
        text.end()
    assert screen.is_left_as_found


def _fail(*_arguments: object) -> NoReturn:
    raise ZeroDivisionError


def test_with_stderr_closed_notices_and_errors_go_nowhere(fake: FakeDaemon) -> None:
    fake.answers = [[Thinking("Let me see."), Token("Because."), Failure("some", "It broke.", None, 1)]]
    command = f'"{sys.executable}" -m erllama_cli run demo Why --thinking 2>&-'
    done = subprocess.run(["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (1, b"Because.\n")


def test_a_failure_is_told_in_whole_words_that_a_terminal_does_not_obey(
    fake: FakeDaemon, terminals: list[Terminal]
) -> None:
    fake.answers = [[Failure("some", f"It \x1b]0;broke\x07 {'in many words ' * 6}.", "Mend it.", 1)]]
    code, seen = _asked(terminals).rest()
    assert (code, _screen(seen).lines[1:]) == (
        1,
        [
            "erllama: It \\x1b]0;broke\\x07 in many words in many words in many words in many",
            "words in many words in many words .",
            "Mend it.",
        ],
    )


def test_a_failure_is_told_below_what_came(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.answers = [[Token("One\n\n- tw"), Failure("some", "It broke.", "Mend it.", 1)]]
    code, seen = _asked(terminals).rest()
    assert (code, _screen(seen).lines[1:]) == (1, ["One", "", " • tw", "erllama: It broke.", "Mend it."])


def test_thinking_folds_at_a_terminal(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.answers = [[Thinking("Let me"), Thinking(" see.\nIt"), Thinking(" hums."), *answer("Because.")]]
    code, seen = _asked(terminals).rest()
    screen = _screen(seen)
    assert (code, len(screen.lines)) == (0, 3)
    assert re.fullmatch(r"▸ thought for \d+ s, 5 words", screen.lines[1])
    assert screen.lines[2] == "Because."
    assert screen.is_left_as_found


def test_thinking_that_never_ends_folds_too(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.answers, fake.hangs = [[Thinking("Let me see.")]], True
    terminal = _asked(terminals)
    terminal.await_text("Let me see.")
    terminal.type("\x03")
    assert (terminal.rest()[0], fake.hung_up.wait(10)) == (EXIT_INTERRUPTED, True)
    assert "▸ thought for" in terminal.screen.lines[-1]
    assert terminal.screen.is_left_as_found


@pytest.mark.parametrize(
    ("options", "kind", "shown"),
    [
        (["--thinking"], "xterm", "\x1b[2mLet me\x1b[0m\x1b[2m see.\x1b[0m\r\n"),
        (["--thinking"], "dumb", "Let me see.\r\n"),
        ([], "dumb", "▸ thought for 0 s, 3 words\r\n"),
        (["--no-thinking"], "xterm", ""),
        (["-q"], "xterm", ""),
    ],
)
def test_at_a_terminal_thinking_is_shown_as_it_is_wanted(
    fake: FakeDaemon, terminals: list[Terminal], options: list[str], kind: str, shown: str
) -> None:
    fake.answers = [[Thinking("Let me"), Thinking(" see."), *answer("Because.")]]
    code, seen = _asked(terminals, "--no-markdown", *options, kind=kind).rest()
    seen = re.sub(r"thought for \d+ s", "thought for 0 s", seen)
    assert (code, seen.partition("Why?\r\n")[2]) == (0, f"{shown}Because.\r\n")


def test_at_a_terminal_waiting_is_shown_until_it_is_over(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.answers, fake.hangs = [[Accepted(7), Loading("demo", 0.5), Queued(3)]], True
    terminal = _asked(terminals)
    terminal.await_text("waiting behind 3 others")
    terminal.type("\x03")
    assert fake.hung_up.wait(10)
    assert terminal.rest()[0] == EXIT_INTERRUPTED


def test_at_a_terminal_loading_is_shown_until_it_is_over(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.loading, fake.hangs = [Loading("demo"), Loading("demo", 0.5)], True
    terminals.append(terminal := DrawnTerminal("load", "demo"))
    terminal.await_text("loading demo")
    terminal.type("\x03")
    assert (terminal.rest()[0], fake.hung_up.wait(10)) == (EXIT_INTERRUPTED, True)
    assert (terminal.screen.lines, terminal.screen.is_left_as_found) == ([], True)


def test_at_a_terminal_a_loaded_model_is_told(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.loading = [Loaded(model_status())]
    terminals.append(terminal := Terminal("load", "demo", kind="xterm"))
    code, seen = terminal.rest()
    assert (code, seen) == (0, "loaded: 8,192 tokens of context, 4 at once, 136.0 MiB of memory\r\n")


class _Terminal(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._written:
            self._written.notify_all()
            return super().write(text)

    def await_text(self, text: str) -> None:
        with self._written:
            assert self._written.wait_for(lambda: text in self.getvalue(), 20)


class _Clock:
    """Ticks when the test says so."""

    def __init__(self) -> None:
        self.ticking: Callable[[], None] | None = None

    def __call__(self, tick: Callable[[], None]) -> _Clock:
        self._tick = tick
        return self

    def start(self) -> None:
        self.ticking = self._tick

    def stop(self) -> None:
        self.ticking = None

    def tick(self) -> None:
        assert self.ticking is not None
        self.ticking()


def _terminal_stderr(monkeypatch: pytest.MonkeyPatch, kind: str = "xterm") -> _Terminal:
    """A terminal in the place of standard error."""
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr("sys.stderr", shown := _Terminal())
    return shown


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (Prefilling(4096, 5908, 4096), "reading 1,812 tokens (4,096 from the cache) ──────────────────── 0 %"),
        (Prefilling(4875, 5908, 4096), "reading 1,812 tokens, 1,033 left (4,096 from the cache) 43 %"),
        (Prefilling(0, 7, 0), "reading 7 tokens ──────────────────── 0 %"),
        (Queued(1), "waiting behind 1 other"),
        (Loading("demo", 0.5), "loading demo ━━━━━━━━━━────────── 50 %"),
        (Summarizing(12), "the conversation is full: summarizing its oldest 12 messages…"),
        (Summarizing(1), "the conversation is full: summarizing its oldest message…"),
    ],
)
def test_what_lasts_is_told_and_gone_before_the_answer(
    monkeypatch: pytest.MonkeyPatch, event: Loading | Queued | Prefilling | Summarizing, told: str
) -> None:
    stderr = _terminal_stderr(monkeypatch)
    waiting = Waiting(shown=True, clock=(clock := _Clock()))
    waiting.show(Loading("demo"))
    waiting.show(event)
    assert stderr.getvalue() == ""
    clock.tick()
    assert _screen(stderr.getvalue()).lines == [f"⠋ {told}"]
    clock.tick()
    assert _screen(stderr.getvalue()).lines == [f"⠙ {told}"]
    waiting.clear()
    assert clock.ticking is None
    screen = _screen(stderr.getvalue())
    assert (screen.lines, screen.is_left_as_found) == ([], True)


def test_long_work_without_a_model_is_told_and_gone_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = _terminal_stderr(monkeypatch)
    with Bar("checking blocks", shown=True, clock=(clock := _Clock())) as bar:
        bar.show(0, 0)
        bar.show(1, 4)
        clock.tick()
        assert _screen(stderr.getvalue()).lines == ["⠋ checking blocks ━━━━━─────────────── 25 %"]
    screen = _screen(stderr.getvalue())
    assert (clock.ticking, screen.lines, screen.is_left_as_found) == (None, [], True)


def test_what_is_over_soon_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = _terminal_stderr(monkeypatch)
    waiting = Waiting(shown=True, clock=(clock := _Clock()))
    waiting.show(Prefilling(0, 7, 0))
    tick = clock.ticking
    waiting.clear()
    assert (clock.ticking, stderr.getvalue()) == (None, "")
    assert tick is not None
    tick()  # it did just then
    assert stderr.getvalue() == ""


def test_a_terminal_without_a_cursor_gets_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    _terminal_stderr(monkeypatch, "dumb")
    waiting = Waiting(shown=True, clock=(clock := _Clock()))
    waiting.show(Prefilling(0, 7, 0))
    assert clock.ticking is None


def test_thinking_shows_its_last_lines_and_then_how_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = _terminal_stderr(monkeypatch)
    times = iter((10.0, 22.4))
    folded = FoldedThoughts(unfoldable=True, clock=lambda: next(times))
    folded.show("".join(f"Line {number}\n\n" for number in range(9)) + "And so ")
    stderr.await_text("And so")
    assert _screen(stderr.getvalue()).lines == ["Line 6", "Line 7", "Line 8", "And so"]
    folded.show("on, until the answer")
    folded.end()
    folded.end()
    screen = _screen(stderr.getvalue())
    assert screen.lines == ["▸ thought for 12 s, 24 words (/thinking shows it)"]
    assert screen.is_left_as_found


def test_what_is_thought_after_some_of_the_answer_comes_below_it(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.answers = [[Thinking("Hm."), Token("One."), Thinking("Hm again."), *answer("Two.")]]
    code, seen = _asked(terminals).rest()
    lines = [re.sub(r"\d+ s", "0 s", line) for line in _screen(seen).lines[1:]]
    assert (code, lines) == (0, ["▸ thought for 0 s, 1 word", "One.", "▸ thought for 0 s, 2 words", "Two."])


@pytest.mark.parametrize(
    ("changes", "notices"),
    [
        ({"dropped_messages": 2}, "[the oldest 2 messages were left out to make room]\n"),
        ({"dropped_messages": 1}, "[the oldest message was left out to make room]\n"),
        (
            {"dropped_messages": 1, "summary": "Hums."},
            "[a summary took the place of the oldest message to make room]\n",
        ),
        ({"dropped_messages": 4, "summary": ""}, "[a summary took the place of the oldest 4 messages to make room]\n"),
        ({"stop_sequence": "END"}, ""),
        ({"finish_reason": "length"}, "[cut off after 2 tokens; see --max-tokens]\n"),
    ],
)
def test_notices(monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], notices: str) -> None:
    monkeypatch.setattr("sys.stderr", shown := _Terminal())
    print_result(msgspec.structs.replace(stats("Yes."), **changes), DisplayOptions())
    assert shown.getvalue() == notices
    print_result(msgspec.structs.replace(stats("Yes."), **changes), DisplayOptions(quiet=True))
    assert shown.getvalue() == notices


def test_what_an_answer_took_is_told_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = _terminal_stderr(monkeypatch)
    took = msgspec.structs.replace(
        stats("Yes."),
        prompt_tokens=2048,
        cached_tokens=1812,
        completion_tokens=314,
        generation_ms=13_029.0,
        ttft_ms=120.0,
        context_size=8192,
    )
    line = (
        "314 tokens, 24.1 tok/s; 1,812 of 2,048 prompt tokens from the cache; first token after 0.12 s; "
        "2,362 of 8,192 tokens of context"
    )
    assert stats_line(took) == line
    print_result(took, DisplayOptions())
    assert stderr.getvalue() == ""
    print_result(took, DisplayOptions(stats=True))
    assert stderr.getvalue() == f"\x1b[2m{line}\x1b[0m\n"
    bare = msgspec.structs.replace(stats("Y"), prompt_tokens=1, completion_tokens=1, generation_ms=0.0)
    assert stats_line(bare) == "1 token; 0 of 1 prompt token from the cache; first token after 0.00 s"


def test_at_a_terminal_a_question_that_is_missing_names_how_to_talk(terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("run", "demo"))
    code, seen = terminal.rest()
    assert (code, "To talk with the model: erllama chat demo" in " ".join(seen.split())) == (EXIT_USAGE, True)


def test_a_record_that_fails_is_told_once_at_a_terminal_that_shows_it_as_json(
    terminals: list[Terminal], tmp_path: Path, fake: FakeDaemon
) -> None:
    fake.answers = [answer("One.")]
    (batch := tmp_path / "batch").write_text('"a"\n{"promt": "b"}\n')
    terminals.append(terminal := Terminal("run", "demo", "--batch", str(batch)))
    code, seen = terminal.rest()
    assert (code, seen.count("promt"), "record 2" in seen) == (EXIT_USAGE, 1, False)
