"""Values that are several texts at once: hosts, origins of web pages, folders."""

from __future__ import annotations

import re
import tomllib
from typing import Self

_PORT = r"(?::(?P<port>\d{1,5}))?"
_HOST = r"(?P<host>\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}))"
_HOST_AND_PORT = re.compile(_HOST + _PORT, re.ASCII)
_ORIGIN = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://" + _HOST + _PORT + "/?", re.ASCII)
_USUAL_PORTS = {"http": "80", "https": "443"}
_ANY_ORIGIN = "*"
_NO_ORIGIN = "null"


class NameRefused(ValueError):
    """One of several names is none. `name` is what was written for it."""

    def __init__(self, name: object) -> None:
        super().__init__(f"{name!r} is no such name")
        self.name = name


class Names(str):
    """Several texts, written as an array or as one text with commas between."""

    __slots__ = ()

    @classmethod
    def of(cls, written: object) -> Self:
        """What was written, none twice. Raises ValueError, and NameRefused for one of them."""
        given = written.split(",") if isinstance(written, str) else written
        if not isinstance(given, list):
            raise ValueError(f"{written!r} are no names; write an array, or commas between them")
        names = []
        for name in given:
            if not isinstance(name, str) or "," in name:
                raise NameRefused(name)
            if name.strip():
                names.append(cls.one(name.strip()))
        return cls(",".join(dict.fromkeys(names)))

    @classmethod
    def one(cls, name: str) -> str:
        """One of them, as it is kept. Raises NameRefused."""
        raise NotImplementedError

    @property
    def each(self) -> tuple[str, ...]:
        """One after the other."""
        return tuple(self.split(",")) if self else ()


class Hosts(Names):
    """Names of machines: llama.example.org, [fe80::1]. A port behind one says nothing."""

    __slots__ = ()

    @classmethod
    def one(cls, name: str) -> str:
        """As it is compared: in small letters, without the port. Raises NameRefused."""
        found = _HOST_AND_PORT.fullmatch(name)
        if found is None:
            raise NameRefused(name)
        return found["host"].lower()


class Origins(Names):
    """Origins of web pages: https://chat.example.org, http://localhost:3000; `*` is any."""

    __slots__ = ()

    @classmethod
    def one(cls, name: str) -> str:
        """As a browser sends it: in small letters, without a slash at the end and the scheme's own port.

        Raises NameRefused.
        """
        if name in (_ANY_ORIGIN, _NO_ORIGIN):
            return name
        found = _ORIGIN.fullmatch(name)
        if found is None:
            raise NameRefused(name)
        scheme, port = found["scheme"].lower(), found["port"]
        told = "" if port is None or port == _USUAL_PORTS.get(scheme) else f":{port}"
        return f"{scheme}://{found['host'].lower()}{told}"


class Folders(Names):
    """Folders by their absolute paths, or from somebody's home on: /srv/models, ~/models."""

    __slots__ = ()

    @classmethod
    def one(cls, name: str) -> str:
        """As it is written. Raises NameRefused."""
        if not name.startswith(("/", "~")):
            raise NameRefused(name)
        return name


def array_of(text: str) -> object:
    """The array of TOML that a bare text is; else the text."""
    if not text.lstrip().startswith("["):
        return text
    try:
        read = tomllib.loads(f"names = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text  # an address of IPv6 begins so, too
    return read["names"] if len(read) == 1 else text
