"""The user's configuration: one TOML file, in which every key may be left out. docs/config.md describes it."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from erllama_cache.policy import PolicyKnobs
from erllama_cache.sizes import parse_size
from erllama_daemon.errors import ConfigInvalid
from erllama_daemon.messages import Quotas

_Table = TypeVar("_Table", bound=msgspec.Struct)

_SPAN = re.compile(r"(?P<number>\d{1,6}) ?(?P<unit>[mhd])", re.ASCII)
_UNIT_S = {"m": 60, "h": 3600, "d": 86400}
_LARGEST = (1 << 63) - 1
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_WITH_PATH = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<key>.*)`)?", re.DOTALL)
_WORDS = {"`int | null`": "an integer", "`int`": "an integer", "`object`": "a table"}
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)


class ByteSize(int):
    """A number of bytes, written as such or as a text: 20 GiB, 500MB, 1.5 TiB."""

    @classmethod
    def of(cls, written: object) -> ByteSize:
        """What was written, in bytes. Raises ValueError."""
        if isinstance(written, str):
            size = parse_size(written)
        elif isinstance(written, int) and not isinstance(written, bool):
            size = written
        else:
            size = -1
        if not 0 <= size <= _LARGEST:
            raise ValueError(f"{written!r} is no size; write 4096, 500MB or 2GiB")
        return cls(size)


class Span(float):
    """A number of seconds, written as a text with a unit: 90d, 36h, 30m."""

    @classmethod
    def of(cls, written: object) -> Span:
        """What was written, in seconds. Raises ValueError."""
        found = _SPAN.fullmatch(written) if isinstance(written, str) else None
        if found is None or not float(found["number"]):
            raise ValueError(f"{written!r} is no time that something is kept; write 90d, 36h or 30m")
        return cls(float(found["number"]) * _UNIT_S[found["unit"]])


class CacheConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[cache]`: what the cache may take."""

    ram_bytes: ByteSize | None = None
    """Bytes in the memory of all workers together; by default a sixteenth of the memory, at most 1 GiB."""
    disk_bytes: ByteSize | None = None
    """Bytes on disk; by default a tenth of the space that would be free without the cache, at most 20 GiB."""
    write_bytes_per_day: ByteSize | None = None
    """Bytes that may be written to disk in a day; by default any number."""

    @property
    def quotas(self) -> Quotas:
        """What that makes of the quotas."""
        # Imported here: it takes SQLite, and who only checks the file needs none.
        from erllama_cache.quotas import default_ram_bytes

        return Quotas(
            ram_bytes=default_ram_bytes() if self.ram_bytes is None else int(self.ram_bytes),
            disk_bytes=None if self.disk_bytes is None else int(self.disk_bytes),
            write_bytes_per_day=None if self.write_bytes_per_day is None else int(self.write_bytes_per_day),
        )


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table `[models.NAME]`: what differs for one model, as the user calls it."""

    policy: PolicyKnobs = PolicyKnobs()
    """The knobs that are turned for this model, over those of `[policy]`."""


class SessionsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[sessions]`: how long conversations are kept."""

    keep: Span | None = None
    """A conversation that nobody has used for so long is deleted; by default none ever is."""


class DaemonConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[daemon]`: how the daemon lives."""

    idle_exit: Span | None = None
    """A daemon that nobody has asked anything for so long, and that holds no model, ends; by default it never does."""
    log_bytes: ByteSize = ByteSize(10 << 20)
    """A log that has grown to so many bytes is put aside."""
    log_files: int = 3
    """So many logs that were put aside are kept."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    cache: CacheConfig = CacheConfig()
    """What the cache may take."""
    daemon: DaemonConfig = DaemonConfig()
    """How the daemon lives."""
    aliases: dict[str, str] = {}
    """Names of the user's own for models: each for a path or for another name that is no alias."""
    sessions: SessionsConfig = SessionsConfig()
    """How long conversations are kept."""
    policy: PolicyKnobs = PolicyKnobs()
    """When state is saved, for every model."""
    models: dict[str, ModelConfig] = {}
    """What differs for one model, by `demo` or the absolute path of its file."""


def read_config(path: Path) -> Config:
    """What the file says; the defaults if there is none. Raises ConfigInvalid."""
    try:
        text = path.read_bytes().decode()
        tables = tomllib.loads(text)
        models = tables.pop("models", {})
        if not isinstance(models, dict):
            raise ValueError("models: expected a table")
        config = _converted(tables, Config, "")
        named = {name: _converted(table, ModelConfig, _model_key(name)) for name, table in models.items()}
        return msgspec.structs.replace(config, models=named)
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise ConfigInvalid(path=path, reason=(error.strerror or str(error)).lower()) from error
    except RecursionError:
        raise ConfigInvalid(path=path, reason="it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ConfigInvalid(path=path, reason=f"line {_line(error.object[: error.start])} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(path=path, reason=_syntax(error, text)) from error
    except ValueError as error:
        raise ConfigInvalid(path=path, reason=error) from error


def keys_of(table: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Every key of a table, those of the tables in it included, with the dots between."""
    for field in msgspec.structs.fields(table):
        yield prefix + field.name
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from keys_of(field.type, f"{prefix}{field.name}.")


def _converted(table: object, kind: type[_Table], prefix: str) -> _Table:
    """A table as its Struct. Raises ValueError that begins with the key that is wrong."""
    try:
        return msgspec.convert(table, kind, dec_hook=_convert_text)
    except msgspec.ValidationError as error:
        raise ValueError(_wrong(str(error), kind, prefix)) from error


def _convert_text(kind: type, written: Any) -> ByteSize | Span:
    return Span.of(written) if kind is Span else ByteSize.of(written)


def _wrong(message: str, kind: type[msgspec.Struct], prefix: str) -> str:
    """What msgspec says of a table, as the user reads it."""
    found = _WITH_PATH.fullmatch(message)
    what, key = (found["what"], found["key"]) if found else (message, None)
    parts = [prefix, key or ""]
    if (unknown := _UNKNOWN.fullmatch(what)) is not None:
        what = f"there is no such key{_nearest(unknown['name'], kind, prefix)}"
        parts.append(unknown["name"])
    for word, plain in _WORDS.items():
        what = what.replace(word, plain)
    where = ".".join(part for part in parts if part)
    return f"{where}: {what[:1].lower()}{what[1:]}" if where else what


def _nearest(name: str, kind: type[msgspec.Struct], prefix: str) -> str:
    keys = {key.rpartition(".")[2]: key for key in keys_of(kind, f"{prefix}." if prefix else "")}
    close = difflib.get_close_matches(name, keys, n=1)
    return f"; the nearest is {keys[close[0]]}" if close else ""


def _model_key(name: str) -> str:
    """The key of a model's table. Raises ValueError for a path that leads nowhere in particular."""
    key = f"models.{name}" if _BARE_KEY.fullmatch(name) else f'models."{name}"'
    if "/" in name and not name.startswith("/"):
        raise ValueError(f"{key}: the path of a model must be absolute")
    return key


def _syntax(error: tomllib.TOMLDecodeError, text: str) -> str:
    """Where the file is no TOML, and why."""
    what, _, where = str(error).rpartition(" (at ")
    place = where.rstrip(")") if where.startswith("line ") else f"line {_line(text.rstrip().encode())}"
    return f"{place}: {what[:1].lower()}{what[1:]}"


def _line(before: bytes) -> int:
    return before.count(b"\n") + 1
