"""Transcripts of terminals in the documentation: run again, and compared with what they show.

A transcript is a fenced block of the language `console`. A line that begins with `$ ` is typed into a shell, one that
begins with `>>> ` into a chat; what follows is printed. All transcripts of a page are run in their order, in one fresh
home, at a terminal of 100 columns; a chat at one that cannot move its cursor, so that all stays where it was typed.

What is compared are erllama's words, their order and their lines. Of two kinds of things only that they are there:

- what a model says, for another processor has other last bits: an answer is ANSWER;
- what `VOLATILE` names: times, sizes, counts of tokens and blocks, speeds, shares, ids, keys, process ids and paths.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyte
import pytest
from cli.terminal import PROMPT, Terminal
from conftest import XDG, end_processes, kill_processes

COLUMNS = 100
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = "$ "
TYPED = f"{PROMPT} "
ANSWER = "<an answer>"
VOLATILE: Mapping[str, str] = {
    "<path>": r"(?<![\w.])(~(/[\w.+-]+)+|(/[\w.+-]+){2,})",
    "<time>": r"\b\d[\d,.]* (ms|s|min|h|d)\b( \d+ (min|h)\b)?",
    "<size>": r"\b\d[\d,.]* [KMGT]?i?B\b",
    "<share>": r"<?\b\d+ %",
    "<bar>": r"\[[#-]+\]",
    "<speed>": r"\b\d[\d,.]* tok/s",
    "<count>": r"[\d,]+(?= (tokens?|blocks?|threads?|cached|read|answered|of|more)\b)",
    "<id>": r"\b[0-9a-f]{8,64}\b",
    "<version>": r"\b\d+\.\d+\.\d+\b",
    "<number>": r"(?<=process )\d+|(?<=seed )\d+|\d[\d,]*(?= <time>)",
    "<label>": r"(?<=── )(?!chat ).*",
}
"""What may be otherwise each time, by what stands in its place when transcripts are compared."""

_ANSWERS = re.compile(r"\berllama (run|chat)\b(?!.*--json)")
_NOTICE = re.compile(r"\[(?!cut off).*\]|erllama: .*")
_RESUMED = re.compile(r".* \(.*, \d+ messages?\)")
_LINES = 1000
"""More than any command shows."""


@dataclass(frozen=True)
class Step:
    """A line for the shell, and what it printed; in a chat also what was typed."""

    command: str
    printed: str

    @property
    def typed(self) -> list[str]:
        """The lines that are for a chat. One that goes on repeats its last question first."""
        lines = self.printed.splitlines()
        shown = [line[len(TYPED) :] for line in lines if line.startswith(TYPED)]
        return shown[1:] if lines and _RESUMED.fullmatch(lines[0]) else shown

    @property
    def comparable(self) -> list[str]:
        """The lines of the output as far as they are the same each time."""
        lines = [_steady(line) for line in self.printed.splitlines()]
        if not _ANSWERS.search(self.command):
            return [line for line in lines if line]
        is_answer, told = not self.typed, []
        for line in lines:
            if line.startswith(TYPED):
                is_answer = not line.startswith(f"{TYPED}/") or line == f"{TYPED}/retry"
                told.append(line)
            elif not line or (is_answer and told[-1:] == [ANSWER] and not _NOTICE.fullmatch(line)):
                continue
            else:
                told.append(ANSWER if is_answer and not _NOTICE.fullmatch(line) else line)
        return told


def steps(page: str) -> list[list[Step]]:
    """The transcripts of a page, each as its steps."""
    return [_steps(block) for block in BLOCK.findall(page)]


def retold(page: str, told: Sequence[Sequence[Step]]) -> str:
    """The page with other transcripts in place of its own."""
    blocks = iter(told)
    return BLOCK.sub(lambda _: "```console\n" + "".join(map(_text, next(blocks))) + "```", page)


def run(page: str, home: Path, folder: Path) -> list[list[Step]]:
    """The transcripts of a page as they are now."""
    return [[_run(step, home, folder) for step in block] for block in steps(page)]


@contextmanager
def fresh_home(files: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """A home where erllama was never used, and a folder in it with copies of some files; nothing is left of it."""
    home = Path(tempfile.mkdtemp(prefix="erl-", dir="/tmp"))
    folder, programs = home / "work", home / "bin"
    try:
        with pytest.MonkeyPatch.context() as patch:
            for made in (folder, programs, home / "run"):
                made.mkdir(mode=0o700)
            for file in files:
                shutil.copy(file, folder)
            (programs / "erllama").write_text(f'#!/bin/sh\nexec {sys.executable} -m erllama_cli "$@"\n')
            (programs / "erllama").chmod(0o755)
            for name in XDG:
                patch.delenv(name, raising=False)
            patch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
            patch.setenv("HOME", str(home))
            patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
            patch.setenv("NO_COLOR", "1")
            patch.setenv("OMP_WAIT_POLICY", "passive")
            patch.chdir(folder)
            try:
                yield home, folder
            finally:
                left = end_processes(home)
    finally:
        kill_processes(home)
        shutil.rmtree(home, ignore_errors=True)
    assert not left, f"still running after a daemon stop: {left}"


class _Recorded(Terminal):
    """A terminal that keeps all that it showed."""

    record = ""

    def _read(self, timeout_s: float) -> str:
        chunk = super()._read(timeout_s)
        self.record += chunk
        return chunk

    def answer_prompt(self, line: str, since: int) -> int:
        """Types a line once all is shown that comes before its prompt; gives how much had been shown by then."""
        deadline = time.monotonic() + 60
        while len(self.record) <= since or not self.record.endswith(TYPED):
            assert time.monotonic() < deadline, f"no prompt for {line!r} after {self.record!r}"
            self._read(0.5)
        shown = len(self.record)
        self.type(f"{line}\n")
        return shown + len(line)


def _steps(block: str) -> list[Step]:
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith(SHELL):
            found.append(Step(line[len(SHELL) :], ""))
        else:
            found[-1] = Step(found[-1].command, f"{found[-1].printed}{line}\n")
    return found


def _text(step: Step) -> str:
    return f"{SHELL}{step.command}\n{step.printed}"


def _run(step: Step, home: Path, folder: Path) -> Step:
    kind = "dumb" if step.typed else "xterm-256color"
    terminal = _Recorded("-c", step.command, program=("/bin/bash",), kind=kind, columns=COLUMNS)
    try:
        shown = 0
        for line in step.typed:
            shown = terminal.answer_prompt(line, shown)
        terminal.rest()
    finally:
        terminal.close()
    text = terminal.record.replace("\r\n", "\n") if step.typed else _on_screen(terminal.record)
    for real, told in ((str(folder), "."), (f"{home}/run", "/run/user/1000"), (str(home), "~")):
        text = text.replace(real, told)
    return Step(step.command, "".join(f"{line.rstrip()}\n" for line in text.splitlines()))


def _on_screen(output: str) -> str:
    """What is to be seen once all of it was printed: progress, for one, has gone."""
    screen = pyte.Screen(COLUMNS, _LINES)
    pyte.Stream(screen).feed(output)
    return "\n".join(line.rstrip() for line in screen.display).rstrip("\n")


def _steady(line: str) -> str:
    if line.startswith(TYPED):
        return line
    line = re.sub("─{3,}", "───", " ".join(line.split()))
    for name, pattern in VOLATILE.items():
        line = re.sub(pattern, name, line)
    return line
