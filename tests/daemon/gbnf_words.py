"""Texts that a GBNF grammar accepts, drawn at random."""

from __future__ import annotations

import re
from random import Random

_LEXEME = re.compile(
    r"""\s+|(?P<literal>"(?:\\.|[^"\\])*")|(?P<set>\[(?:\\.|[^\]\\])*\])|(?P<name>[a-zA-Z0-9-]+)|(?P<mark>[()|])
    |(?P<repeat>[*+?]|\{(?P<least>\d+)(?P<comma>,)?(?P<most>\d*)\})""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r'\\(?:x([0-9a-fA-F]{2})|([trn\\"\[\]]))')
_CONTROLS = {"t": "\t", "r": "\r", "n": "\n"}
_OTHERS = "aZ9 é🦙<}{:,/\u2028\n\x1f"
"""Characters to choose from where a set names those that are not in it."""


class Words:
    """Draws texts of a grammar. It ends: beyond some depth it takes the alternative with the fewest rules."""

    def __init__(self, grammar: str, random: Random) -> None:
        self._rules = {}
        for line in grammar.splitlines():
            name, _mark, rule = line.partition(" ::= ")
            self._rules[name] = _alternatives(list(_lexemes(rule)))[0]
        self._random = random
        self._left = 400

    def draw(self, name: str = "root") -> str:
        return self._choose(self._rules[name])

    def _choose(self, alternatives: list[list[tuple[str, object, int, int]]]) -> str:
        self._left -= 1
        chosen = self._random.choice(alternatives) if self._left > 0 else min(alternatives, key=_weight)
        return "".join(self._element(*element) for element in chosen)

    def _element(self, kind: str, value: object, least: int, most: int) -> str:
        count = least if self._left <= 0 else self._random.randint(least, min(most, least + 4))
        return "".join(self._once(kind, value) for _ in range(count))

    def _once(self, kind: str, value: object) -> str:
        if kind == "group":
            return self._choose(value)  # type: ignore[arg-type]
        text = str(value)
        if kind == "name":
            return self.draw(text)
        return _unescaped(text[1:-1]) if kind == "literal" else self._random.choice(_members(text[1:-1]))


def _weight(alternative: list[tuple[str, object, int, int]]) -> int:
    return sum((10 if kind in ("group", "name") else 1) for kind, _value, least, _most in alternative if least)


def _lexemes(rule: str) -> list[re.Match[str]]:
    found, position = [], 0
    while position < len(rule):
        lexeme = _LEXEME.match(rule, position)
        assert lexeme is not None, rule[position:]
        position = lexeme.end()
        if lexeme.lastgroup is not None:
            found.append(lexeme)
    return found


def _alternatives(lexemes: list[re.Match[str]], start: int = 0) -> tuple[list[list[tuple[str, object, int, int]]], int]:
    alternatives: list[list[tuple[str, object, int, int]]] = [[]]
    position = start
    while position < len(lexemes) and lexemes[position][0] != ")":
        lexeme = lexemes[position]
        position += 1
        if lexeme[0] == "|":
            alternatives.append([])
        elif lexeme[0] == "(":
            inside, position = _alternatives(lexemes, position)
            alternatives[-1].append(("group", inside, 1, 1))
            position += 1
        elif lexeme["repeat"]:
            kind, value, _least, _most = alternatives[-1].pop()
            alternatives[-1].append((kind, value, *_bounds(lexeme)))
        else:
            kind = "literal" if lexeme["literal"] else "set" if lexeme["set"] else "name"
            alternatives[-1].append((kind, lexeme[0], 1, 1))
    return alternatives, position


def _bounds(lexeme: re.Match[str]) -> tuple[int, int]:
    if lexeme["least"] is None:
        return {"*": (0, 1000), "+": (1, 1000), "?": (0, 1)}[lexeme["repeat"]]
    least = int(lexeme["least"])
    return least, int(lexeme["most"] or 1000) if lexeme["comma"] else least


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _CONTROLS.get(found[2], found[2]), text)


def _members(text: str) -> str:
    if text.startswith("^"):
        left_out = _members(text[1:])
        return "".join(each for each in _OTHERS if each not in left_out)
    members, position = "", 0
    plain = _unescaped(text)
    while position < len(plain):
        if plain[position + 1 : position + 2] == "-" and position + 2 < len(plain):
            members += "".join(map(chr, range(ord(plain[position]), ord(plain[position + 2]) + 1)))
            position += 3
        else:
            members += plain[position]
            position += 1
    return members
