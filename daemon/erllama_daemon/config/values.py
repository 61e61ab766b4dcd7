"""Values that are written in a way of their own: sizes, times and addresses."""

from __future__ import annotations

import ipaddress
import math
import re

from erllama_cache.sizes import parse_size

FOREVER_S = -1.0

_SPAN = re.compile(r"(?P<number>\d{1,6}) ?(?P<unit>[mhd])", re.ASCII)
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[smhd]?)", re.ASCII)
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LARGEST = (1 << 63) - 1
_ADDRESS = re.compile(
    r"(?:\[(?P<ip6>[0-9a-fA-F:.]{2,45})\]|(?P<name>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}))):(?P<port>\d{1,5})", re.ASCII
)
_LAST_PORT = (1 << 16) - 1


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
            raise ValueError(f"{written!r} is no time; write 90d, 36h or 30m")
        return cls(float(found["number"]) * _UNIT_S[found["unit"]])


class Duration(float):
    """A number of seconds, written as such or as a text: 30s, 10m, 1.5 h; `forever` is -1."""

    @classmethod
    def of(cls, written: object) -> Duration:
        """What was written, in seconds. Raises ValueError."""
        text = repr(written) if isinstance(written, int | float) and not isinstance(written, bool) else written
        if text in ("forever", "-1"):
            return cls(FOREVER_S)
        found = _DURATION.fullmatch(text) if isinstance(text, str) else None
        seconds = math.inf if found is None else float(found["number"]) * _UNIT_S[found["unit"]]
        if math.isinf(seconds):
            raise ValueError(f"{written!r} is no duration; write 30s, 10m, 2h, 0 or forever")
        return cls(seconds)


class Address(str):
    """A host and a port on TCP: 127.0.0.1:8080, [::1]:8080, localhost:0; port 0 is any that is free."""

    __slots__ = ()

    @classmethod
    def of(cls, written: object) -> Address:
        """What was written. Raises ValueError."""
        found = _ADDRESS.fullmatch(written) if isinstance(written, str) else None
        if found is None or int(found["port"]) > _LAST_PORT:
            raise ValueError(f"{written!r} is no address; write 127.0.0.1:8080 or [::1]:8080")
        if found["ip6"]:
            ipaddress.IPv6Address(found["ip6"])
        elif found["name"].replace(".", "").isdigit():
            ipaddress.IPv4Address(found["name"])
        return cls(written)

    @property
    def host(self) -> str:
        """The name or the number, without brackets."""
        return self.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port; 0 is any that is free."""
        return int(self.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can be there: what is no number and not `localhost` may be anywhere."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"
