"""What a GBNF grammar is made of, and whether llama.cpp can be trusted with it.

llama.cpp parses and expands a grammar by recursion and without limits: some short texts overflow its stack, fill the
memory or never end. All of those are refused here, and mistakes are named with their line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from erllama_daemon.grammar.beginnings import Beginnings
from erllama_daemon.grammar.rule import MAX_NESTING, Element, GbnfError, Rules, shown

START = "root"
"""The rule that a grammar begins with."""

MAX_REPEATS = 2000
"""llama.cpp's own limit; it takes a higher upper bound for none."""

MAX_ELEMENTS = 400_000
"""Characters, ranges and references after repetitions are written out."""

_ESCAPE = r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[trn\\\"\[\]-])"
_LEXEME = re.compile(
    rf"""(?P<space>[ \t]+|\#[^\r\n]*)
    |(?P<newline>\r\n?|\n)
    |(?P<define>(?P<name>[a-zA-Z0-9-]+)[ \t]*::=)
    |(?P<reference>[a-zA-Z0-9-]+)
    |(?P<literal>"(?:{_ESCAPE}|[^"\\])*")
    |(?P<characters>\[(?:{_ESCAPE}|[^\]\\])*\])
    |(?P<token>!?<[^>\r\n]+>)
    |(?P<any>\.)
    |(?P<bar>\|)
    |(?P<open>\()
    |(?P<close>\))
    |(?P<repeat>[*+?]|\{{\s*(?P<least>[0-9]+)\s*(?P<upto>,\s*(?P<most>[0-9]*)\s*)?\}})""",
    re.VERBOSE,
)
_ONE_CHARACTER = re.compile(rf"{_ESCAPE}|[\s\S]")


@dataclass(slots=True)
class _Open:
    """A rule or group whose end has not been read. `may_break` says that a newline would not end it here."""

    name: str
    alternatives: list[list[Element]] = field(default_factory=lambda: [[]])
    may_break: bool = True


def check_gbnf(text: str) -> None:
    """Raises GbnfError if `text` is no grammar, or one that llama.cpp does not survive."""
    rules = _Parser(text).rules
    if START not in rules:
        raise GbnfError(f"it has no rule named {START}")
    for name, alternatives in rules.items():
        for element in (element for alternative in alternatives for element in alternative):
            if element.rule is not None and element.rule not in rules:
                raise GbnfError(f"rule {shown(name)} uses {element.rule}, which is not defined")
    Beginnings(rules).check()


class _Parser:
    def __init__(self, text: str) -> None:
        self.rules: Rules = {}
        self._text = text
        self._open: list[_Open] = []
        self._groups = 0
        self._elements = 0
        self._can_repeat = False
        self._position = 0
        while self._position < len(text):
            match = _LEXEME.match(text, self._position)
            if match is None:
                raise self._error(f"cannot read {text[self._position : self._position + 20]!r}")
            self._take(match)
            self._position = match.end()
        self._end_rule()

    def _error(self, reason: str) -> GbnfError:
        return GbnfError(f"line {self._text.count(chr(10), 0, self._position) + 1}: {reason}")

    def _take(self, match: re.Match[str]) -> None:
        kind = match.lastgroup
        if kind == "newline":
            if len(self._open) == 1 and not self._open[0].may_break:
                self._end_rule()
        elif match["define"]:
            if self._open:
                raise self._error(f"rule {match['name']} begins before the one above it has ended")
            self._open.append(_Open(match["name"]))
        elif kind != "space":
            if not self._open:
                raise self._error(f"expected a rule, as in: {START} ::= ..., not {match[0][:20]!r}")
            self._take_part(match)

    def _take_part(self, match: re.Match[str]) -> None:
        kind, frame = match.lastgroup, self._open[-1]
        frame.may_break = kind == "bar"
        if kind == "bar":
            frame.alternatives.append([])
        elif kind == "open":
            self._open_group()
        elif kind == "close":
            self._close_group()
        elif match["repeat"]:
            self._repeat(match)
        elif kind == "token":
            # llama.cpp lets a token begin with characters and end with such an element, then aborts when it is taken.
            raise self._error(f"{match[0][:20]} names a token, which llama.cpp does not survive")
        elif kind == "reference":
            self._add(Element(match[0]))
        else:
            self._add_terminal(match)

    def _add_terminal(self, match: re.Match[str]) -> None:
        size = 1
        if match.lastgroup in ("literal", "characters"):
            inside = match[0][1:-1].removeprefix("^" if match.lastgroup == "characters" else "")
            size = sum(1 for _ in _ONE_CHARACTER.finditer(inside))
        self._can_repeat = size > 0
        if size:
            self._add(Element(size=size))

    def _add(self, element: Element) -> None:
        self._can_repeat = True
        self._open[-1].alternatives[-1].append(element)
        self._count(element.size)

    def _count(self, elements: int) -> None:
        self._elements += elements
        if self._elements > MAX_ELEMENTS:
            raise self._error(f"written out, the grammar has more than {MAX_ELEMENTS:,} elements")

    def _open_group(self) -> None:
        if len(self._open) > MAX_NESTING:
            raise self._error(f"parentheses nest more than {MAX_NESTING:,} deep")
        self._groups += 1
        self._open.append(_Open(f"{self._open[-1].name.partition('(')[0]}({self._groups}"))

    def _close_group(self) -> None:
        if len(self._open) == 1:
            raise self._error("a ) closes nothing")
        group = self._open.pop()
        self.rules[group.name] = group.alternatives
        self._add(Element(group.name))
        self._open[-1].may_break = False

    def _repeat(self, match: re.Match[str]) -> None:
        sequence = self._open[-1].alternatives[-1]
        if not sequence or not self._can_repeat:
            raise self._error(f"there is nothing before {match[0]} to repeat")
        least, most = _bounds(match)
        if least > MAX_REPEATS or (most or 0) > MAX_REPEATS:
            raise self._error(f"{match[0]} repeats more than {MAX_REPEATS:,} times")
        if most is not None and most < least:
            raise self._error(f"{match[0]} ends before it begins")
        element = sequence[-1]
        optional = 1 if most is None else most - least
        self._count((least + optional) * (element.size + 3))
        element.copies *= max(1, least + optional)
        element.size = element.size * least + 1
        element.has_optional_copies = element.is_optional
        element.is_optional = element.is_optional or least == 0

    def _end_rule(self) -> None:
        if len(self._open) > 1:
            raise self._error("a ( is never closed")
        if self._open:
            rule = self._open.pop()
            self.rules[rule.name] = rule.alternatives


def _bounds(match: re.Match[str]) -> tuple[int, int | None]:
    """How often at least and at most; None is for ever."""
    if match["least"] is None:
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[match[0]]
    if len(match["least"]) > 9 or len(match["most"] or "") > 9:
        return MAX_REPEATS + 1, None
    least = int(match["least"])
    if match["upto"] is None:
        return least, least
    return least, int(match["most"]) if match["most"] else None
