"""The keys that there are, by their dotted names, and which of them somebody may have meant."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from erllama_daemon.config.kind import Kind, kind_of
from erllama_daemon.config.literal import as_text, as_toml, quoted
from erllama_daemon.config.tables import Config

NAME = "NAME"
"""Stands in a key for a name that the user gives: of an alias, or of a model."""

PREFIX = "ERLLAMA_"

Path = tuple[str, ...]

_PART = re.compile(r"""\s*(?:(?P<bare>[A-Za-z0-9_-]+)|"(?:[^"\\]|\\.)*"|'[^']*')\s*(?P<dot>\.|\Z)""")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_UNQUOTED_MODEL = re.compile(r"models\.(?P<name>[^\"'].*?)(?P<rest>(?:\.(?:load|policy)(?:\.[\w-]*)?)?)", re.DOTALL)
_UNQUOTED_ALIAS = re.compile(r"aliases\.(?P<name>[^\"'].*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `default` is what holds if nobody sets it, as one would write it; None if only words can tell."""

    path: Path
    kind: Kind
    summary: str
    default: str | None
    default_words: str
    examples: tuple[object, ...]

    @property
    def name(self) -> str:
        """As it is written."""
        return dotted(self.path)

    @property
    def variable(self) -> str | None:
        """The environment variable that sets it; none if it has a name of the user's in it."""
        return None if NAME in self.path else PREFIX + "_".join(self.path).upper()

    def takes(self, *, bare: bool = False) -> str:
        """What it takes, with examples as they stand in TOML or, `bare`, in the environment."""
        if self.kind.choices or self.kind.type is bool:
            return f"takes {self.kind.expects}"
        shown = [as_text(each) if bare else as_toml(each) for each in self.examples]
        *most, last = shown
        return f"takes {self.kind.expects}, such as {', '.join(most) + ' or ' if most else ''}{last}"


class Table(dict[str, "Table | Key"]):
    """The keys and tables in a table, by their names; in one with NAME alone, by any name."""

    summary: str = ""

    def find(self, name: str) -> Table | Key | None:
        """What is called so in here."""
        return self.get(NAME, self.get(name))


@cache
def all_keys() -> Table:
    """Every key there is."""
    return _table(Config)


@cache
def keys() -> tuple[Key, ...]:
    """Every key there is, in the order of the tables, those with a NAME in them last."""
    return tuple(sorted(_flat(all_keys()), key=lambda key: NAME in key.path))


def find(path: Path) -> Table | Key | None:
    """The key or table of this name."""
    found: Table | Key | None = all_keys()
    for name in path:
        found = found.find(name) if isinstance(found, Table) else None
    return found


def nearest(path: Path) -> str | None:
    """The key or table that was probably meant by a name that is none."""
    parent, known = all_keys(), 0
    while known < len(path) and isinstance(found := parent.find(path[known]), Table):
        parent, known = found, known + 1
    if known < len(path) and (near := _near(path[known], parent)) is not None:
        meant = (*path[:known], near, *path[known + 1 :])
        return dotted(meant) if find(meant) is not None else nearest(meant) or dotted(meant[: known + 1])
    names = {key.name: key for key in keys() if NAME not in key.path}
    if path[-1:] and (key := _near(path[-1], by_last := {key.path[-1]: key for key in reversed(names.values())})):
        return by_last[key].name
    return _near(".".join(path), names)


def dotted(path: Path) -> str:
    """A key as it is written in TOML, a part in quotes where it needs them."""
    return ".".join(part if _BARE.fullmatch(part) else quoted(part) for part in path)


def split(text: str) -> Path:
    """The parts of a key as somebody typed it. The quotes around a model's or an alias's name may be left out.

    Raises ValueError.
    """
    if found := _UNQUOTED_ALIAS.fullmatch(text):
        return ("aliases", found["name"])
    if found := _UNQUOTED_MODEL.fullmatch(text):
        return ("models", found["name"], *filter(None, found["rest"].split(".")))
    parts: list[str] = []
    place = 0
    while (part := _PART.match(text, place)) is not None:
        parts.append(unquoted(part[0][: part.start("dot") - part.start()].strip()))
        place = part.end()
        if not part["dot"]:
            return tuple(parts)
    raise ValueError(text)


def unquoted(part: str) -> str:
    """What a part of a key in TOML stands for. Raises ValueError."""
    return part if _BARE.fullmatch(part) else next(iter(tomllib.loads(f"{part} = 0")))


def _near(name: str, names: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, [each for each in names if each != NAME], n=1)), None)


def _flat(table: Table) -> Iterator[Key]:
    for each in table.values():
        if isinstance(each, Key):
            yield each
        else:
            yield from _flat(each)


def _table(kind: type[msgspec.Struct], prefix: Path = ()) -> Table:
    hints, defaults = get_type_hints(kind, include_extras=True), kind()
    return Table({name: _node(hint, getattr(defaults, name), (*prefix, name)) for name, hint in hints.items()})


def _node(hint: Any, default: object, path: Path) -> Table | Key:
    plain = hint.__origin__ if get_origin(hint) is Annotated else hint
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        found = _table(plain, path)
    elif get_origin(plain) is dict:
        found = Table({NAME: _node(get_args(plain)[1], None, (*path, NAME))})
    else:
        return _key(hint, default, path)
    found.summary = "" if plain is hint else hint.__metadata__[0].description
    return found


def _key(hint: object, default: object, path: Path) -> Key:
    kind, metas = kind_of(hint)
    meta = next(meta for meta in metas if meta.description is not None)
    extra = meta.extra or {}
    value = extra.get("value", None if default is None else as_text(default))
    examples = tuple(meta.examples or ()) or (() if value is None else (kind.written(value),))
    is_of_one = path[:1] == ("models",)
    return Key(
        path=path,
        kind=kind,
        summary=meta.description or "",
        default=None if is_of_one else value,
        default_words=f"what {dotted(path[2:])} says" if is_of_one else extra.get("default", value or "none"),
        examples=kind.examples(examples),
    )
