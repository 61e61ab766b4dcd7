"""Emphasis, code, links and line breaks within a paragraph, a heading or a cell."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from erllama_cli.drawing.page import Span, combined

CODE, QUIET = "36", "2"
_STYLES = {"strong": "1", "em": "3", "s": "9"}
_UNDERLINED = "4"
_MARK = re.compile(r"\\.|`+|\*\*|__|\*", re.DOTALL)
_HALF_MARK = re.compile(r"(?<![*\\])\*{1,3}$|(?<![`\\])`{1,2}$|(?<![_\\])__$")
"""What may be the first half of a mark, or all of one that encloses nothing yet."""


def markdown_parser() -> MarkdownIt:
    """Reads what models write: no HTML, which is shown as it stands, and nothing that changes what came before it."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return parser.disable(["html_block", "html_inline", "reference", "lheading"])


PARSER = markdown_parser()


def inline_spans(source: str, style: str = "") -> list[Span]:
    """`source`, drawn in `style` where it says nothing else."""
    (inline,) = PARSER.parseInline(source, {}) or (Token("inline", "", 0),)
    spans: list[Span] = []
    styles = [style]
    links: list[tuple[Token, int]] = []
    for token in inline.children or []:
        if token.type == "link_open":
            links.append((token, len(spans)))
            styles.append(combined(styles[-1], _UNDERLINED))
        elif token.type == "link_close":
            styles.pop()
            opened, begin = links.pop()
            told = "".join(span.text for span in spans[begin:])
            spans += _target(opened, "href", told, styles[-1])
        elif token.nesting == 1:
            styles.append(combined(styles[-1], _STYLES.get(token.tag, "")))
        elif token.nesting == -1:
            styles.pop()
        elif token.type in ("softbreak", "hardbreak"):
            spans.append(Span("\n"))
        elif token.type == "code_inline":
            spans.append(Span(token.content, combined(styles[-1], CODE)))
        else:
            spans.append(Span(token.content, styles[-1]))
            if token.type == "image":
                spans += _target(token, "src", token.content, styles[-1])
    return spans


def provisionally_closed(source: str) -> str:
    """`source`, whose end has not come yet, with the emphasis and the code that it leaves open closed.

    So `**bo` is bold from its first letter, and does not move when the end of it comes.
    """
    begun = _HALF_MARK.sub("", source.rstrip())
    ticks: str | None = None
    emphasis: list[str] = []
    for found in _MARK.finditer(begun):
        mark = found[0]
        if mark[0] == "`":
            ticks = mark if ticks is None else None if mark == ticks else ticks
        elif ticks is not None or mark[0] == "\\":
            continue
        elif emphasis and emphasis[-1] == mark and not begun[found.start() - 1].isspace():
            emphasis.pop()
        elif not begun[found.end() : found.end() + 1].isspace():
            emphasis.append(mark)
    return begun + (ticks or "") + "".join(reversed(emphasis))


def _target(token: Token, name: str, told: str, style: str) -> list[Span]:
    """Where a link leads, unless its text says so already."""
    target, title = str(token.attrs.get(name, "")), str(token.attrs.get("title", ""))
    described = ", ".join(filter(None, (target if told not in (target, target.removeprefix("mailto:")) else "", title)))
    return [Span(f" ({described})", combined(style, QUIET))] if described else []
