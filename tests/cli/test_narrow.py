"""What a narrow terminal, a dumb one and one without colours are shown."""

from __future__ import annotations

import re

import msgspec
import pytest
from cli.conftest import Run
from cli.fake_daemon import FakeDaemon, answer, model_status
from cli.terminal import Terminal

from erllama_daemon.messages import (
    Adapter,
    AdapterList,
    Divergence,
    ExplainedBlock,
    Explanation,
    Miss,
    SessionList,
    SessionSummary,
    Thinking,
)

EVIL = "/models/\x1b]0;owned\x07 a model that has\na name of its own.gguf"
EXPLANATION = Explanation(
    model="demo",
    root="a" * 64,
    prompt_tokens=2048,
    reused_tokens=1024,
    live_tokens=512,
    ram_tokens=256,
    disk_tokens=256,
    blocks=[
        ExplainedBlock(start=0, tokens=512, where="live"),
        ExplainedBlock(start=512, tokens=256, where="ram"),
        ExplainedBlock(start=768, tokens=256, where="disk", source="generated"),
    ],
    miss=Miss(
        reason="diverged", token=1024, divergence=Divergence(token=1030, before="some words", here="this", there="that")
    ),
    adapters=[Adapter("a" * 64, EVIL, 0.5)],
    note="the oldest messages of the conversation were left out to make room",
)
SESSION = SessionSummary(
    id="abcd1234",
    name=None,
    title="Why llamas hum a song",
    model=EVIL,
    created=1.0,
    updated=2.0,
    turns=3,
    tokens=9_000,
    finish_key=None,
)

TERMINALS = [("dumb", ""), ("xterm-256color", "1"), ("xterm-256color", "")]
COMMANDS = {"ps": "unloads in", "adapter ls demo": "scale", "sessions ls": "hum", "cache explain demo Why?": "answer"}


@pytest.fixture
def furnished(fake: FakeDaemon) -> FakeDaemon:
    """A daemon that has something to show."""
    fake.loaded = [msgspec.structs.replace(model_status(EVIL), ram_quota_bytes=1 << 29)]
    fake.listed = SessionList([SESSION])
    return fake


@pytest.mark.parametrize(("kind", "no_color"), TERMINALS, ids=["dumb", "without colours", "with colours"])
@pytest.mark.parametrize("command", COMMANDS)
def test_forty_columns_are_enough_and_nothing_that_a_model_is_called_moves_the_cursor(
    furnished: FakeDaemon,
    terminals: list[Terminal],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    kind: str,
    no_color: str,
) -> None:
    furnished.reply = AdapterList(EXPLANATION.adapters, "a" * 64) if command.startswith("adapter") else EXPLANATION
    monkeypatch.setenv("NO_COLOR", no_color)
    terminals.append(terminal := Terminal(*command.split(), kind=kind, columns=40))
    code, seen = terminal.rest()
    assert (code, COMMANDS[command] in " ".join(seen.split())) == (0, True), seen
    if kind == "dumb" or no_color:
        assert "\x1b" not in seen
    lines = re.sub("\x1b\\[[0-9;]*m", "", seen).split("\r\n")
    assert max(map(len, lines)) <= 40, lines
    assert all(line.isprintable() for line in lines), lines


@pytest.mark.usefixtures("furnished")
def test_a_pipe_gets_a_row_a_line(run: Run) -> None:
    printed = run("ps").stdout.splitlines()
    assert len(printed) == 2
    assert printed[1].startswith("\\x1b]0;owned\\x07 a model that has\\na name of its own.gguf  generating ")


@pytest.mark.parametrize(("kind", "no_color"), TERMINALS[:2], ids=["dumb", "without colours"])
def test_an_answer_has_no_colours_where_none_are_wanted_and_a_dumb_terminal_gets_letters_alone(
    fake: FakeDaemon, terminals: list[Terminal], monkeypatch: pytest.MonkeyPatch, kind: str, no_color: str
) -> None:
    fake.answers = [[Thinking("Let me see."), *answer("# A title\n\n", "It is `code`, [a link](https://example.org).")]]
    monkeypatch.setenv("NO_COLOR", no_color)
    terminals.append(terminal := Terminal("run", "demo", "Why?", "--stats", kind=kind, columns=40))
    code, seen = terminal.rest()
    assert code == 0
    if kind == "dumb":
        assert "\x1b" not in seen
    styles = {style for found in re.findall("\x1b\\[([0-9;]*)m", seen) for style in found.split(";")}
    assert styles <= {"", "0", "1", "3", "4", "9"}, "bold, italic and underlined text is no colour"
