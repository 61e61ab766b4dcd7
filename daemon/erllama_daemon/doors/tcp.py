"""The socket on TCP, and its TLS."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from erllama_daemon.config import DaemonConfig
from erllama_daemon.errors import TlsUnusable
from erllama_daemon.tcp_address import bound_socket, check_tls, unusable


class TcpListener:
    """A bound TCP socket that is about to listen, and the TLS that is spoken there, None for none."""

    def __init__(self, bound: socket.socket, tls: Tls | None) -> None:
        self.socket = bound
        self.tls = tls
        self.host, self.port = bound.getsockname()[:2]

    @property
    def url(self) -> str:
        """Where clients find it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}"

    def close(self) -> None:
        """Listens no more. May be called again."""
        self.socket.close()


class Tls:
    """A certificate and its key; `context` speaks with them."""

    def __init__(self, cert: str, key: str) -> None:
        self._cert, self._key = Path(cert).expanduser(), Path(key).expanduser()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.load()

    def load(self) -> None:
        """Reads both files as they are now, for who connects from now on. Raises TlsUnusable, and nothing changed."""
        try:
            # A context is left without a key by a certificate that goes with another one.
            for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
                context.load_cert_chain(self._cert, self._key, password=_no_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            reason = getattr(error, "strerror", None) or str(error)
            raise TlsUnusable(cert=self._cert, key=self._key, reason=reason.lower()) from error


def open_tcp(config: DaemonConfig) -> TcpListener | None:
    """The socket that the configuration asks for, which listens; None if it asks for none.

    Raises HttpNeedsTls, TlsUnusable, HttpAddressTaken and HttpAddressUnusable.
    """
    check_tls(config)
    tls = None
    if config.http is not None and config.http_tls_cert is not None and config.http_tls_key is not None:
        tls = Tls(config.http_tls_cert, config.http_tls_key)
    bound = bound_socket(config)
    if bound is None or config.http is None:
        return None
    try:
        bound.listen()  # that another one has taken the address may come out only now
    except OSError as error:
        bound.close()
        raise unusable(config.http, error) from error
    return TcpListener(bound, tls)


def _no_password() -> str:
    raise ValueError("the key asks for a password")
