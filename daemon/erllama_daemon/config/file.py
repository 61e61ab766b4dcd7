"""The file: its text as what is set there."""

from __future__ import annotations

import ast
import codecs
import re
import tomllib
from collections.abc import Mapping

from erllama_daemon.config.given import Gathered, Place
from erllama_daemon.config.key import Path, Table, dotted, find
from erllama_daemon.config.lines import key_lines

_KEY_PARTS = re.compile(r"""\((?:(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?:, |,(?=\))|(?=\))))+\)""")
"""How the parser writes a key: as the tuple that it is to Python."""


def given_in_file(content: bytes) -> Gathered:
    """What the file sets, and all that is wrong with it."""
    gathered = Gathered()
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode()
        tables = tomllib.loads(text)
    except RecursionError:
        gathered.problems.append("it is nested too deeply")
    except UnicodeDecodeError as error:
        gathered.problems.append(f"line {_line(error.object[: error.start])} is not UTF-8")
    except tomllib.TOMLDecodeError as error:
        gathered.problems.append(_syntax(error, text))
    except ValueError as error:
        gathered.problems.append(f"{error}".lower())  # a number with more digits than Python reads
    else:
        _take_table(gathered, tables, (), key_lines(text))
    return gathered


def _take_table(gathered: Gathered, table: dict[str, object], prefix: Path, lines: Mapping[Path, int]) -> None:
    for name, value in table.items():
        path = (*prefix, name)
        place = Place("file", line=lines.get(path))
        if isinstance(value, dict) and isinstance(find(path), Table):
            gathered.take_name(path, place)
            _take_table(gathered, value, path, lines)
        else:
            gathered.take(path, value, place)


def _syntax(error: tomllib.TOMLDecodeError, text: str) -> str:
    """Where the file is no TOML, and why."""
    what, _, where = str(error).rpartition(" (at ")
    place = where.rstrip(")") if where.startswith("line ") else f"line {_line(text.rstrip().encode())}"
    what = _KEY_PARTS.sub(lambda found: dotted(ast.literal_eval(found[0])), what)
    return f"{place}: {what[:1].lower()}{what[1:]}"


def _line(before: bytes) -> int:
    return before.count(b"\n") + 1
