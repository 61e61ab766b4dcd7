"""The text of an answer, drawn on stdout as Markdown while it comes."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING

from erllama_cli.drawing.page import Line, Page, Span
from erllama_cli.drawing.painter import PAUSE_S, Painter
from erllama_cli.drawing.printable import Printable
from erllama_cli.drawing.region import Region
from erllama_cli.drawing.screen import may_colour, size_of
from erllama_cli.output import write_text

if TYPE_CHECKING:
    from erllama_cli.drawing.document import Document


class MarkdownText:
    """Text drawn as Markdown on a terminal: what is finished once, and what is not again and again."""

    def __init__(self, *, pause_s: float = PAUSE_S) -> None:
        self._coming: deque[str] = deque()
        self._printable = Printable()
        self._region = Region(write_text, lambda: size_of(sys.stdout))
        self._painter = Painter(self._paint, pause_s=pause_s)
        self._document: Document | None = None

    def show(self, text: str) -> None:
        """Have what comes next drawn, the first at once."""
        self._coming.append(text)
        self._painter.touch()

    def end(self) -> None:
        """Draw all of it for good."""
        self._painter.stop()
        document, lines = self._document or _new_document(), list[Line]()
        try:
            document.add(self._come() + self._printable.rest())
            lines = document.rest(self._page())
        finally:
            self._region.end(lines)

    def _paint(self) -> None:
        text, page = self._come(), self._page()
        if self._document is None:
            if "markdown_it" not in sys.modules:
                # The first word does not wait for the import.
                self._region.show([], page.wrapped([Span(text)]))
            self._document = _new_document()
        self._document.add(text)
        drawn = self._document.drawn(page)
        self._region.show(drawn.done, drawn.live)

    def _come(self) -> str:
        """What has come since the last time."""
        texts = [self._coming.popleft() for _ in range(len(self._coming))]
        return self._printable.next("".join(texts))

    def _page(self) -> Page:
        return Page(size_of(sys.stdout).columns, may_colour())


def _new_document() -> Document:
    from erllama_cli.drawing.document import Document

    return Document()
