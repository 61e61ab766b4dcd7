"""What a key takes: read from TOML or from a bare text, checked, and written again."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta

from erllama_daemon.config.names import Folders, Hosts, Names, Origins, array_of
from erllama_daemon.config.values import Address, ByteSize, Duration, Span

Value = bool | int | float | str
"""What a key can be set to, once it is checked: sizes in bytes, times in seconds."""

_WITH_UNIT: Mapping[type, Callable[[object], Value]] = {
    ByteSize: ByteSize.of,
    Span: Span.of,
    Duration: Duration.of,
    Hosts: Hosts.of,
    Origins: Origins.of,
    Folders: Folders.of,
    Address: Address.of,
}
_UNITS: Mapping[type, tuple[str, tuple[object, ...]]] = {
    ByteSize: ("a size", ("2 GiB", 4096)),
    Span: ("a time", ("90d", "36h", "30m")),
    Duration: ("a duration", ("30s", "2h", "forever")),
    Hosts: ("a list of hosts", ()),
    Origins: ("a list of origins without a path", ()),
    Folders: ("a list of folders, absolute or from ~ on", ()),
    Address: ("an address and a port", ()),
}
_WHOLE = re.compile(r"[+-]?\d{1,400}", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,400}(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_FEW = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """A type with its limits. `choices` are all there is, if that is few."""

    type: type
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    is_above_low: bool = False

    def of(self, written: object) -> Value:
        """The value of what is written in TOML. Raises ValueError, which may be NameRefused, without saying why."""
        if (read := _WITH_UNIT.get(self.type)) is not None:
            value = read(written)
        elif self.type is float and isinstance(written, int) and not isinstance(written, bool):
            value = _float(written)
        elif type(written) is self.type and isinstance(written, bool | int | float | str):
            value = written
        else:
            raise ValueError(written)
        if isinstance(value, str):
            value.encode()  # UnicodeEncodeError is a ValueError
            if (self.choices and value not in self.choices) or (self.low and len(value) < self.low):
                raise ValueError(written)
        elif not self._is_within(value):
            raise ValueError(written)
        return value

    def written(self, text: str) -> object:
        """What a bare text, as it stands in a variable or behind an option, would be in TOML."""
        if self.type is bool and text in ("true", "false"):
            return text == "true"
        if self.type in (int, ByteSize, Duration, float) and _WHOLE.fullmatch(text):
            return int(text)
        if self.type in (float, Duration) and _NUMBER.fullmatch(text):
            return float(text)
        return array_of(text) if issubclass(self.type, Names) else text

    @property
    def expects(self) -> str:
        """What it takes, in a few words."""
        if self.type in _UNITS:
            return _UNITS[self.type][0] + (f" from {self.low:g} up" if self.low else "")
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.type is bool:
            return "true or false"
        if self.type is str:
            return "a text that is not empty" if self.low else "a text"
        number = "a whole number" if self.type is int else "a number"
        low = f"above {self.low:g}" if self.is_above_low else f"from {self.low:.0f}"
        return f"{number} {low} to {self.high:.0f}" if self.type is int or self.high == 1 else f"{number} {low} up"

    def examples(self, named: tuple[object, ...]) -> tuple[object, ...]:
        """Values that it takes, `named` ones first."""
        known = dict.fromkeys(named + _UNITS.get(self.type, ("", ()))[1])
        return tuple(filter(self._takes, known))[:_FEW]

    def _takes(self, written: object) -> bool:
        try:
            self.of(written)
        except ValueError:
            return False
        return True

    def _is_within(self, value: float) -> bool:
        low_fits = self.low is None or (value > self.low if self.is_above_low else value >= self.low)
        return low_fits and (self.high is None or value <= self.high)


def kind_of(annotated: Any) -> tuple[Kind, list[Meta]]:
    """The kind that a field's type describes, and all that is said of it, the outermost first."""
    metas: list[Meta] = []
    while True:
        if get_origin(annotated) is Annotated:
            metas += [each for each in annotated.__metadata__ if isinstance(each, Meta)]
            annotated = annotated.__origin__
        elif get_origin(annotated) in (Union, types.UnionType):
            (annotated,) = (each for each in get_args(annotated) if each is not types.NoneType)
        else:
            break
    choices = get_args(annotated) if get_origin(annotated) is Literal else ()
    limits = next((meta for meta in metas if _limit(meta) is not None), Meta())
    kind = Kind(
        type=str if choices else annotated,
        choices=choices,
        low=_limit(limits),
        high=limits.le if limits.lt is None else limits.lt - 1,
        is_above_low=limits.gt is not None,
    )
    return kind, metas


def _limit(meta: Meta) -> float | None:
    given = (meta.ge, meta.gt, meta.min_length)
    return next((float(limit) for limit in given if limit is not None), None)


def _float(number: int) -> float:
    try:
        return float(number)
    except OverflowError as error:
        raise ValueError(number) from error
