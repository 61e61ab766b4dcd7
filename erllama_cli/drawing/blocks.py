"""The blocks of a Markdown text, and what is drawn of each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from markdown_it.token import Token

from erllama_cli.drawing.code import Colours
from erllama_cli.drawing.inline import PARSER, QUIET, inline_spans, provisionally_closed
from erllama_cli.drawing.page import Line, Page, Span
from erllama_cli.drawing.table import Alignment, Table
from erllama_cli.one_line import columns

_HEADINGS = {"h1": "1;4;35", "h2": "1;35"}
_LOWER_HEADING = "1"
_RULE_COLUMNS = 40
_TAB_COLUMNS = 4
_MARKED = re.compile(r"[*_`\[\]<>~!\\&|]")
"""A line without any of these means the same whatever comes after it."""

_BAR = re.compile(r"(?<!\\)\|")


class Piece(Protocol):
    """What is printed at once. The pieces of a text are the same on every page, its lines are not."""

    def lines(self, page: Page) -> list[Line]:
        """The piece on a page."""


@dataclass(frozen=True, slots=True)
class Prose:
    """Words, as Markdown."""

    source: str
    style: str
    first: Sequence[Span]
    rest: Sequence[Span]

    def lines(self, page: Page) -> list[Line]:
        return page.wrapped(inline_spans(self.source, self.style), self.first, self.rest)


@dataclass(frozen=True, slots=True)
class Rule:
    """A line between two things, or before and after code, whose language it may name."""

    label: str
    first: Sequence[Span]

    def lines(self, page: Page) -> list[Line]:
        label = f"── {self.label} " if self.label else ""
        taken = sum(columns(span.text) for span in (*self.first, Span(label)))
        return [page.line([*self.first, Span(label + "─" * (min(page.width, _RULE_COLUMNS) - taken), QUIET)])]


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One line of code, which the terminal breaks, so that it is copied as one; unless it may still grow."""

    code: Code
    index: int
    first: Sequence[Span]

    def lines(self, page: Page) -> list[Line]:
        spans = [*self.first, *self.code.spans(self.index)]
        return [page.line(spans)] if self.index < len(self.code.complete) else page.folded(spans)


@dataclass(frozen=True, slots=True)
class Code:
    """All lines of a block of code; the one after the complete ones is still being written."""

    language: str
    complete: Sequence[str]
    growing: str
    colours: Colours

    def spans(self, index: int) -> list[Span]:
        """One line, coloured if it is complete."""
        if index < len(self.complete):
            return self.colours.of(self.language, self.complete)[index]
        return [Span(self.growing)]


@dataclass(frozen=True, slots=True)
class Gap:
    """The empty line between two blocks."""

    first: Sequence[Span]

    def lines(self, page: Page) -> list[Line]:
        return [page.line(self.first)]


@dataclass(frozen=True, slots=True)
class Block:
    """One of the outermost blocks of a text.

    It begins at the line `begin`. The first `firm` of its pieces stay as they are, whatever lines come after.
    """

    begin: int
    pieces: Sequence[Piece]
    firm: int


def blocks(source: str, colours: Colours, *, apart: bool, growing: bool = False) -> list[Block]:
    """The blocks of `source`. `apart` says whether an empty line comes before it.

    With `growing`, its last line may be half a line, and what that leaves open is drawn as if it were closed.
    """
    tokens: list[Token] = []
    PARSER.block.parse(source, PARSER, {}, tokens)
    reading = _Reading(source, colours, apart=apart, growing=growing)
    return [reading.block(outermost) for outermost in _outermost(tokens)]


def _outermost(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens of each outermost block."""
    block: list[Token] = []
    for token in tokens:
        block.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield block
            block = []


@dataclass(slots=True)
class _Container:
    """A list item or a quotation: what stands before its first line, and before all others."""

    begin: int
    mark: Span
    rest: Span
    marked: bool = False


class _Reading:
    """Goes through the blocks of a text once, in order."""

    def __init__(self, source: str, colours: Colours, *, apart: bool, growing: bool) -> None:
        self._lines = source.removesuffix("\n").split("\n")
        self._half_line = growing and not source.endswith("\n")
        self._colours = colours
        self._growing = growing
        self._end = -1 if apart else len(self._lines)
        """Where what was drawn last ends; before the first block, whatever makes it stand apart or not."""
        self._containers: list[_Container] = []
        self._pieces: list[Piece] = []
        self._firm = 0
        self._ends_at_gap = True
        """Whether nothing that comes after an empty line belongs to what was drawn last."""

    def block(self, tokens: Sequence[Token]) -> Block:
        """What is drawn of one outermost block."""
        self._pieces, self._firm, self._ends_at_gap = [], 0, True
        for index, token in enumerate(tokens):
            match token.type:
                case "blockquote_open":
                    bar = Span("│ ", QUIET)
                    self._containers.append(_Container(_place(token)[0], bar, bar))
                case "list_item_open":
                    mark = f"{token.info}{token.markup} ".rjust(4) if token.info else " • "
                    self._containers.append(_Container(_place(token)[0], Span(mark), Span(" " * len(mark))))
                case "list_item_close" | "blockquote_close":
                    self._leave()
                case "inline" if tokens[index - 1].type not in ("th_open", "td_open"):
                    self._words(token, tokens[index - 1].tag)
                case "fence" | "code_block":
                    self._code(token)
                case "table_open":
                    self._table(list(itertools.takewhile(lambda each: each.type != "table_close", tokens[index:])))
                case "hr":
                    first, _ = self._begin(*_place(token))
                    self._pieces.append(Rule("", first))
        if self._ends_at_gap and self._end < len(self._lines):
            self._firm = len(self._pieces)
        return Block(_place(tokens[0])[0], self._pieces, self._firm)

    def _begin(self, begin: int, end: int) -> tuple[list[Span], list[Span]]:
        """Begin to draw what stands on these lines of the source: what comes before its first line and the others."""
        begin = min([begin, *(container.begin for container in self._containers if not container.marked)])
        if begin > self._end:
            self._pieces.append(Gap([container.rest for container in self._containers if container.marked]))
        first = [each.rest if each.marked else each.mark for each in self._containers]
        for container in self._containers:
            container.marked = True
        self._firm, self._end, self._ends_at_gap = len(self._pieces), end, True
        return first, [each.rest for each in self._containers]

    def _leave(self) -> None:
        container = self._containers[-1]
        if not container.marked:
            first, rest = self._begin(container.begin, container.begin + 1)
            self._ends_at_gap = False
            self._pieces.append(Prose("", "", first, rest))
        self._containers.pop()

    def _words(self, token: Token, tag: str) -> None:
        begin, end = _place(token)
        first, rest = self._begin(begin, end)
        style = _HEADINGS.get(tag, _LOWER_HEADING) if tag.startswith("h") else ""
        lines = [line.strip() for line in token.content.split("\n")]
        plain = len(list(itertools.takewhile(lambda line: not _MARKED.search(line), lines[:-1])))
        for line in lines[:plain]:
            self._pieces.append(Prose(line, style, first, rest))
            first = rest
        source = "\n".join(lines[plain:])
        is_last = self._growing and end >= len(self._lines)
        self._pieces.append(Prose(provisionally_closed(source) if is_last else source, style, first, rest))
        self._firm += plain

    def _code(self, token: Token) -> None:
        begin, end = _place(token)
        first, rest = self._begin(begin, end)
        lines = token.content.removesuffix("\n").expandtabs(_TAB_COLUMNS).split("\n") if token.content else []
        is_fence = token.type == "fence"
        self._ends_at_gap = is_fence and end - begin == len(lines) + 2
        half = self._half_line and end >= len(self._lines) and not self._ends_at_gap
        growing = lines.pop() if half and lines else ""
        if is_fence and token.markup.startswith(growing.strip()):
            growing = ""
        code = Code(token.info.split(" ")[0] if is_fence else "", lines, growing, self._colours)
        if is_fence:
            self._pieces.append(Rule(token.info.strip(), first))
            first = rest
        else:
            rest = [*rest, Span(" " * _TAB_COLUMNS)]
            first = [*first, Span(" " * _TAB_COLUMNS)]
        for index in range(len(lines) + bool(growing)):
            self._pieces.append(CodeLine(code, index, rest if index else first))
        if begin < len(self._lines) - 1:  # else the next line may still make it a table
            self._firm += len(lines) + is_fence
        if is_fence:
            self._pieces.append(Rule("", rest))

    def _table(self, tokens: Sequence[Token]) -> None:
        begin, end = _place(tokens[0])
        first, rest = self._begin(begin, end)
        alignments: list[Alignment] = [_alignment(token) for token in tokens if token.type == "th_open"]
        rows: list[list[str]] = []
        for token in tokens:
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(token.content)
            elif token.type == "tr_close" and len(rows) > 1:
                # What a row has more than the header, the parser leaves out.
                rows[-1][-1] += _excess(self._lines[begin + len(rows)], len(alignments))
        self._pieces.append(Table(rows, alignments, first, rest))


def _place(token: Token) -> tuple[int, int]:
    """The lines of the source that a block stands on."""
    if token.map is None:
        raise AssertionError(f"a {token.type} stands nowhere")
    begin, end = token.map
    return begin, end


def _alignment(token: Token) -> Alignment:
    style = str(token.attrs.get("style", ""))
    return "right" if style.endswith("right") else "center" if style.endswith("center") else "left"


def _excess(row: str, count: int) -> str:
    """What the row of a table holds after its first `count` cells."""
    cells = _BAR.split(row.strip(" \t>").removeprefix("|"))
    if cells and not cells[-1].strip():
        cells.pop()
    return "".join(f" | {cell.strip()}" for cell in cells[count:])
