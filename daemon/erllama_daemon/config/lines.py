"""On which line of a TOML file each key stands: what the parser does not tell."""

from __future__ import annotations

import re
from collections.abc import Mapping

from erllama_daemon.config.key import Path, unquoted

_TOKEN = re.compile(
    r'''
    (?P<string>
        """ (?:\\.|[^\\])*? """ "{0,2}
      | \'\'\' .*? \'\'\' '{0,2}
      | " (?:\\.|[^"\\])* "
      | ' [^']* '
    )
  | (?P<comment> \#[^\n]* )
  | (?P<end> \n )
  | (?P<mark> [][{}=,.] )
  | (?P<bare> [^][{}=,.\s\#"']+ )
  | (?P<space> [^\S\n]+ )
    ''',
    re.DOTALL | re.VERBOSE,
)
_OPEN, _CLOSED = "[{", "]}"


def key_lines(text: str) -> Mapping[Path, int]:
    """The line, from 1, on which each key and each table is first named in `text`, which must be TOML.

    Those within an array are left out.
    """
    return _Reader(text).read()


class _Reader:
    """Goes through the text once, token by token."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._tokens: list[tuple[str, int]] = []
        line = 1
        for found in _TOKEN.finditer(text):
            if found.lastgroup not in ("space", "comment"):
                self._tokens.append((found[0], line))
            line += found[0].count("\n")
        self._place = 0

    def read(self) -> dict[Path, int]:
        table: Path = ()
        while self._place < len(self._tokens):
            line = self._tokens[self._place][1]
            if self._next == "\n":
                self._place += 1
            elif self._next == "[":
                self._skip("[")
                table = self._key((), line)
                self._skip("]")
            else:
                self._pair(table, line)
        return self._lines

    @property
    def _next(self) -> str:
        return self._tokens[self._place][0] if self._place < len(self._tokens) else ""

    def _skip(self, mark: str) -> None:
        while self._next == mark:
            self._place += 1

    def _pair(self, table: Path, line: int) -> None:
        """A key, its sign and its value."""
        path = self._key(table, line)
        self._place += 1
        if self._next == "{":
            self._inline_table(path)
        else:
            self._value()

    def _key(self, table: Path, line: int) -> Path:
        path = table
        while self._next and self._next not in "=]\n":
            if self._next != ".":
                path = (*path, unquoted(self._next))
                self._lines.setdefault(path, line)
            self._place += 1
        return path

    def _inline_table(self, path: Path) -> None:
        self._place += 1
        while self._next and self._next != "}":
            if self._next in ",\n":
                self._place += 1
            else:
                self._pair(path, self._tokens[self._place][1])
        self._place += 1

    def _value(self) -> None:
        """Whatever stands up to the end of the line or, in an inline table, up to the next pair or its end."""
        depth = 0
        while self._next and not (depth == 0 and self._next in ",}\n"):
            depth += (self._next in _OPEN) - (self._next in _CLOSED)
            self._place += 1
