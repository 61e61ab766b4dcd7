"""What systemd is told of the daemon's life: sd_notify(3), which is a datagram to a socket."""

from __future__ import annotations

import logging
import os
import socket
import time

log = logging.getLogger(__name__)

READY = "READY=1"
STOPPING = "STOPPING=1"


def reloading() -> str:
    """That the configuration is being read again; `READY` says that it has been."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def needs(seconds: float) -> str:
    """That what is being done may take so long."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}"


class Notifier:
    """Tells systemd, if it started this process: `address` is NOTIFY_SOCKET, a path, or after @ an abstract name."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    @classmethod
    def of_environment(cls) -> Notifier:
        """The one of this process. What names it is taken out, so that no worker speaks for the daemon."""
        return cls(os.environ.pop("NOTIFY_SOCKET", None))

    def tell(self, *states: str) -> None:
        """Sends states; that nobody listens is logged and harms nothing."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto("\n".join(states).encode(), address)
        except OSError as error:
            log.warning("systemd could not be told: %s", error)
