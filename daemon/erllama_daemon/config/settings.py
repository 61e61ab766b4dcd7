"""The configuration in force: what the file says, over it the environment, over that the options."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, TypeVar

import msgspec

from erllama_daemon.config.file import given_in_file
from erllama_daemon.config.given import Gathered, Given
from erllama_daemon.config.key import NAME, Key, Path, dotted, keys
from erllama_daemon.config.kind import Value
from erllama_daemon.config.literal import as_text
from erllama_daemon.config.overrides import given_in_environment, given_in_options
from erllama_daemon.config.tables import Config, ModelConfig
from erllama_daemon.errors import ConfigInvalid
from erllama_daemon.messages import Setting

_Table = TypeVar("_Table", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force, and where each key comes from. `model_lines` has the names of models that have a table."""

    path: FilePath
    config: Config
    given: Mapping[Path, Given] = field(default_factory=dict)
    model_lines: Mapping[str, int | None] = field(default_factory=dict)

    def rows(self) -> list[Setting]:
        """Every key that needs no name, and those with a name that are set."""
        plain = [key for key in keys() if NAME not in key.path]
        named = [given for given in self.given.values() if NAME in given.key.path]
        return [
            *(self.row(key, key.path) for key in plain),
            *(self.row(given.key, given.path) for given in named),
        ]

    def row(self, key: Key, path: Path) -> Setting:
        """The key of this name, whether it is set or not."""
        given = self.given.get(path)
        default = None if key.default is None else key.kind.of(key.kind.written(key.default))
        return Setting(
            key=dotted(path),
            written=key.default if given is None else as_text(given.written),
            value=_plain(default if given is None else given.value),
            default=key.default_words,
            origin="default" if given is None else given.origin,
            line=None if given is None else given.line,
            variable=key.variable,
            summary=key.summary,
        )


def effective(path: FilePath, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()) -> Settings:
    """What the file `path`, which need not exist, the environment (by default this process's) and options add up to.

    Of each key, the option counts before the environment, and that before the file. Each of `options` is KEY=VALUE.
    Raises ConfigInvalid, which names all that is wrong.
    """
    return settings_of(path, _content(path), os.environ if environment is None else environment, options)


def settings_of(
    path: FilePath, content: bytes, environment: Mapping[str, str] = {}, options: Sequence[str] = ()
) -> Settings:
    """As `effective`, for a file that has, or would have, this content."""
    in_file = given_in_file(content)
    others = [given_in_environment(environment), given_in_options(options)]
    given = {each.path: each for gathered in (in_file, *others) for each in gathered.given}
    in_file.problems += _alias_chains(given)
    if in_file.problems or any(gathered.problems for gathered in others):
        raise ConfigInvalid.of(path, in_file.problems, [each for gathered in others for each in gathered.problems])
    models = _model_lines((in_file, *others))
    return Settings(path, _config(given, models), given, models)


def read_config(path: FilePath, options: Sequence[str] = ()) -> Config:
    """The configuration in force, as `effective` has it. Raises ConfigInvalid."""
    return effective(path, options=options).config


def _content(path: FilePath) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ConfigInvalid.of(path, [(error.strerror or str(error)).lower()]) from error


def _alias_chains(given: Mapping[Path, Given]) -> Iterator[str]:
    """Aliases that stand for an alias: which one is meant by which must not depend on an order."""
    for path, each in given.items():
        if path[0] == "aliases" and ("aliases", str(each.value)) in given:
            line = f"line {each.line}: " if each.line else ""
            yield f"{line}{dotted(path)}: {each.value} is an alias itself; name what it stands for"


def _model_lines(sources: Sequence[Gathered]) -> dict[str, int | None]:
    lines: dict[str, int | None] = {}
    for source in sources:
        for name, line in source.models.items():
            lines.setdefault(name, line)
    return lines


def _config(given: Mapping[Path, Given], models: Mapping[str, int | None]) -> Config:
    values: dict[str, Any] = {"models": {name: {} for name in models}}
    for path, each in given.items():
        table = values
        for name in path[:-1]:
            table = table.setdefault(name, {})
        table[path[-1]] = each.value
    tables = values.pop("models")
    return _struct(Config, {**values, "models": {name: _struct(ModelConfig, table) for name, table in tables.items()}})


def _struct(kind: type[_Table], values: Mapping[str, Any]) -> _Table:
    defaults = kind()
    below = {name: getattr(defaults, name) for name in values}
    return kind(
        **{
            name: _struct(type(below[name]), value) if isinstance(below[name], msgspec.Struct) else value
            for name, value in values.items()
        }
    )


def _plain(value: Value | None) -> bool | int | float | str | None:
    """Without the types that only say how it is written."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    return float(value) if isinstance(value, float) else int(value)
