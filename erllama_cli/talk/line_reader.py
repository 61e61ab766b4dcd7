"""Where the user's lines come from."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

from erllama_cli.talk.told import PROMPT

if TYPE_CHECKING:
    from erllama_cli.talk.window import Window


class LineReader(Protocol):
    """Reads a line at a time; it may hold line breaks, if it can be edited."""

    edits: bool
    """Whether it puts a text into the line for the user to change."""

    def read(self, draft: str, /) -> str:
        """The next line, which begins as `draft`. Raises EOFError when the user leaves, and KeyboardInterrupt."""
        ...

    def close(self) -> None:
        """Leaves the terminal as it was."""
        ...


class PlainLines:
    """Lines as any terminal gives them. The prompt goes to the terminal, be that stdout or stderr, or else nowhere."""

    edits = False

    def read(self, _draft: str, /) -> str:
        """As `LineReader.read`; the draft is not shown."""
        if not sys.stdout.isatty():
            if sys.stderr.isatty():
                print(PROMPT, end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            return line.rstrip("\n")
        import readline  # gives `input` its line editing

        readline.set_auto_history(True)
        return input(PROMPT)

    def close(self) -> None:
        """As `LineReader.close`: nothing was changed."""


def new_line_reader(window: Window) -> LineReader:
    """One that edits, on a terminal that can."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") in ("", "dumb"):
        return PlainLines()
    from erllama_cli.talk.line_editor import LineEditor  # 0.2 s, which nobody else should wait for

    return LineEditor(window)
