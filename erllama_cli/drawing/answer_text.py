"""The text of an answer on stdout, as it comes: raw, or drawn as Markdown."""

from __future__ import annotations

import sys
from typing import Protocol

from erllama_cli.drawing.printable import Printable
from erllama_cli.drawing.screen import can_draw
from erllama_cli.output import write_text


class AnswerText(Protocol):
    """What is shown of an answer. Both methods raise what `write_text` raises."""

    def show(self, text: str) -> None:
        """Draw what comes next."""

    def end(self) -> None:
        """Leave the cursor at the start of a line. Nothing comes after this."""


def answer_text(*, markdown: bool) -> AnswerText:
    """Draws Markdown where that is wanted and can be seen; anything else prints what it is given."""
    if not (markdown and can_draw(sys.stdout)):
        return PlainText()
    # Imported here: a pipe needs none of it.
    from erllama_cli.drawing.markdown_text import MarkdownText

    return MarkdownText()


class PlainText:
    """Text as it stands; only a terminal gets no control characters."""

    def __init__(self) -> None:
        self._printable = Printable() if sys.stdout is not None and sys.stdout.isatty() else None
        self._last = "\n"

    def show(self, text: str) -> None:
        """Print what comes next, at once."""
        self._write(text if self._printable is None else self._printable.next(text))

    def end(self) -> None:
        """End the last line, if there is one and it does not end yet."""
        if self._printable is not None:
            self._write(self._printable.rest())
        if not self._last.endswith("\n"):
            write_text("\n")

    def _write(self, text: str) -> None:
        if text:
            self._last = text
            write_text(text)
