"""Asking the user something other than what to say next: on stderr, and only at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Collection

import typer


class Left(typer.Exit):
    """The user chose to go no further: the command ends, and that is no failure."""


def can_ask() -> bool:
    """Whether somebody would see a question and could answer it."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def ask_letter(question: str, letters: Collection[str]) -> str:
    """The letter that the user chooses, asked again until it is one of `letters`. Raises Left for Ctrl-D."""
    while True:
        answer = ask_line(question).casefold()[:1]
        if answer in letters:
            return answer


def ask_line(question: str) -> str:
    """A line of the user's, without the blanks around it. Raises Left for Ctrl-D."""
    print(f"{question} ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        print(file=sys.stderr)
        raise Left
    return line.strip()
