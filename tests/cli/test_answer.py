"""How an answer is drawn besides its text: progress, thinking and notices."""

from __future__ import annotations

import io

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer, model_status, stats
from cli.terminal import Terminal

from erllama_cli.answer import print_result
from erllama_cli.options import DisplayOptions
from erllama_daemon.errors import EXIT_INTERRUPTED
from erllama_daemon.messages import Accepted, Done, Loaded, Loading, Prefilling, Queued, Stats, Thinking, Token

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


@pytest.mark.parametrize(("option", "shown"), [([], True), (["--no-thinking"], False), (["-q"], False)])
def test_at_a_terminal_thinking_is_dimmed_unless_unwanted(
    fake: FakeDaemon, terminals: list[Terminal], option: list[str], shown: bool
) -> None:
    fake.answers = [[Thinking("Let me"), Thinking(" see."), *answer("Because.")]]
    terminals.append(terminal := Terminal("run", "demo", "-", *option))
    terminal.type("Why?\n\x04")
    code, seen = terminal.rest()
    assert (code, "\x1b[2mLet me\x1b[0m\x1b[2m see.\x1b[0m\r\nBecause.\r\n" in seen) == (0, shown)
    assert ("Let me" in seen, "Because.\r\n" in seen) == (shown, True)


def test_at_a_terminal_waiting_is_shown_until_it_is_over(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.answers, fake.hangs = [[Accepted(7), Loading("demo", 0.5), Queued(3)]], True
    terminals.append(terminal := Terminal("run", "demo", "-", kind="xterm"))
    terminal.type("Why?\n\x04")
    terminal.await_text("waiting behind 3 others")
    terminal.type("\x03")
    assert fake.hung_up.wait(10)
    assert terminal.rest()[0] == EXIT_INTERRUPTED


def test_at_a_terminal_loading_is_shown_until_it_is_over(fake: FakeDaemon, terminals: list[Terminal]) -> None:
    fake.loading = [Loading("demo"), Loading("demo", 0.5), Loaded(model_status())]
    terminals.append(terminal := Terminal("load", "demo", kind="xterm"))
    code, seen = terminal.rest()
    assert (code, "loading demo" in seen) == (0, True)
    assert seen.endswith("loaded: 8,192 tokens of context, 4 at once, 136.0 MiB of memory\r\n")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("changes", "notices"),
    [
        ({"dropped_messages": 2}, "[the oldest 2 messages were left out to make room]\n"),
        ({"dropped_messages": 1}, "[the oldest message was left out to make room]\n"),
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
