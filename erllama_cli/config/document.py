"""The text of the file, with one key changed and all else as it was: comments, order, spaces."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from erllama_daemon.config.key import Path


class Unchangeable(Exception):
    """The text could not be changed without changing something else."""


def with_key(text: str, path: Path, written: object) -> str:
    """`text`, which is TOML, with a key set. Raises Unchangeable."""
    document = tomlkit.parse(text)
    wanted = copy.deepcopy(document.unwrap())
    below = wanted
    try:
        for name in path[:-1]:
            below = below.setdefault(name, {})
        below[path[-1]] = written
        _set(document, path, written)
        return _checked(tomlkit.dumps(document), wanted)
    except (TOMLKitError, TypeError, KeyError, AttributeError) as error:
        raise Unchangeable from error


def without_key(text: str, path: Path) -> str | None:
    """`text`, which is TOML, without a key or a table; None if it is not there. Raises Unchangeable."""
    document = tomlkit.parse(text)
    wanted = copy.deepcopy(document.unwrap())
    parents: list[tuple[Any, Any]] = [(document, wanted)]
    for name in path[:-1]:
        table, plain = parents[-1]
        if not isinstance(plain.get(name), dict):
            return None
        parents.append((table[name], plain[name]))
    if path[-1] not in parents[-1][1]:
        return None
    try:
        for (table, plain), name in zip(reversed(parents), reversed(path), strict=True):
            del table[name], plain[name]
            if plain or tomlkit.dumps(table).strip():
                break
        return _checked(tomlkit.dumps(document), wanted)
    except (TOMLKitError, TypeError, KeyError, AttributeError) as error:
        raise Unchangeable from error


def _set(document: tomlkit.TOMLDocument, path: Path, written: object) -> None:
    table: Any = document
    for depth, name in enumerate(path[:-1], start=1):
        if name not in table:
            table[name] = _new_table(table, is_last=depth == len(path) - 1)
        table = table[name]
    table[path[-1]] = written


def _new_table(parent: Any, *, is_last: bool) -> Any:
    if isinstance(parent, InlineTable):
        return tomlkit.inline_table()
    if isinstance(parent, tomlkit.TOMLDocument) and parent.body:
        parent.add(tomlkit.nl())
    return tomlkit.table(is_super_table=not is_last)


def _checked(text: str, wanted: dict[str, Any]) -> str:
    """`text` if it says what it should: whoever writes into the user's file does not rely on a library for that."""
    try:
        if _pruned(tomllib.loads(text)) == _pruned(wanted):
            return text
    except tomllib.TOMLDecodeError as error:
        raise Unchangeable from error
    raise Unchangeable


def _pruned(value: Any) -> Any:
    """Without empty tables, which say nothing; numbers with their types."""
    if not isinstance(value, dict):
        return type(value), value
    pruned = {name: _pruned(each) for name, each in value.items()}
    return {name: each for name, each in pruned.items() if each != {}}
