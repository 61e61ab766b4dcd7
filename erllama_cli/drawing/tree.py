"""Trees drawn with lines: for a terminal in colour, for a pipe plain."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from erllama_cli.one_line import columns, cut, line_width

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

_INDENT = 4
_LEAST_TEXT = 4


@dataclass(frozen=True, slots=True)
class Line:
    """A text, and figures about it, the most important ones first.

    A text that is too long is cut, but figures go before it has less than a third of the line. One that is `whole` is
    never cut.
    """

    text: str
    figures: Sequence[str] = ()
    whole: bool = False
    style: str = ""

    def fitted(self, width: int) -> tuple[str, str]:
        """As much of the text and of the figures as fits into `width` columns."""
        least = columns(self.text) if self.whole else min(columns(self.text), width // 3)
        kept = list(self.figures)
        while kept and columns(_joined(kept)) + least > width:
            kept.pop()
        figures = _joined(kept)
        return self.text if self.whole else cut(self.text, max(width - columns(figures), _LEAST_TEXT)), figures


@dataclass(frozen=True, slots=True)
class Branch:
    """A line, and what hangs on it."""

    line: Line
    branches: Sequence[Branch] = field(default=())


def dot() -> str:
    """What stands between words that belong together."""
    return " · " if _can_print("·") else " - "


def print_line(line: Line) -> None:
    """The line on its own."""
    print("".join(line.fitted(line_width())))


def print_branch(branch: Branch) -> None:
    """The branch with all that hangs on it."""
    if sys.stdout.isatty():
        _print_drawn(branch)
    else:
        _print_plain(branch)


def _joined(figures: Sequence[str]) -> str:
    return "  " + dot().join(figures) if figures else ""


def _can_print(marks: str) -> bool:
    try:
        marks.encode(sys.stdout.encoding or "ascii")
    except UnicodeError:
        return False
    return True


def _print_plain(branch: Branch) -> None:
    tee, corner, bar = ("├── ", "└── ", "│   ") if _can_print("├└│─") else ("|-- ", "`-- ", "|   ")

    def draw(branch: Branch, first: str, rest: str) -> None:
        print(first + "".join(branch.line.fitted(line_width() - len(first))))
        for below in branch.branches:
            is_last = below is branch.branches[-1]
            draw(below, rest + (corner if is_last else tee), rest + (" " * _INDENT if is_last else bar))

    draw(branch, "", "")


def _print_drawn(branch: Branch) -> None:
    from rich.console import Console
    from rich.tree import Tree

    def draw(branch: Branch, tree: Tree, depth: int) -> None:
        for below in branch.branches:
            draw(below, tree.add(_drawn(below.line, depth)), depth + 1)

    tree = Tree(_drawn(branch.line, 0), guide_style="dim")
    draw(branch, tree, 1)
    Console(width=line_width(), highlight=False).print(tree)


def _drawn(line: Line, depth: int) -> Text:
    from rich.text import Text

    text, figures = line.fitted(line_width() - _INDENT * depth)
    return Text.assemble((text, line.style), (figures, "dim"), no_wrap=not line.whole, overflow="ellipsis")
