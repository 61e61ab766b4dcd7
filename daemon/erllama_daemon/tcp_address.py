"""Where the daemon may listen on TCP: looked at by the command that starts it, and bound by the daemon itself."""

from __future__ import annotations

import errno
import ipaddress
import socket

from erllama_daemon.config import Address, DaemonConfig
from erllama_daemon.errors import HttpAddressTaken, HttpAddressUnusable, HttpNeedsTls, TlsUnusable


def check_tls(config: DaemonConfig) -> None:
    """Raises HttpNeedsTls for an address that other machines reach without TLS, and TlsUnusable for half of it."""
    if config.http is None:
        return
    if (config.http_tls_cert is None) != (config.http_tls_key is None):
        cert, key = config.http_tls_cert or "(none)", config.http_tls_key or "(none)"
        raise TlsUnusable(cert=cert, key=key, reason="only one of them is configured")
    if config.http_tls_cert is None and not config.http.is_loopback:
        raise HttpNeedsTls(address=config.http)


def bound_socket(config: DaemonConfig) -> socket.socket | None:
    """A socket at the configured address that does not listen yet; None without one.

    Raises as `check_tls`, HttpAddressTaken and HttpAddressUnusable.
    """
    check_tls(config)
    if (address := config.http) is None:
        return None
    try:
        family, kind, protocol, _name, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # What `localhost` is, the system says.
        if config.http_tls_cert is None and not ipaddress.ip_address(place[0]).is_loopback:
            raise HttpNeedsTls(address=address)
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise unusable(address, error) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(place)
    except OSError as error:
        bound.close()
        raise unusable(address, error) from error
    return bound


def unusable(address: Address, error: OSError) -> HttpAddressTaken | HttpAddressUnusable:
    """The error that names why nobody can listen there."""
    if error.errno == errno.EADDRINUSE:
        return HttpAddressTaken(address=address)
    return HttpAddressUnusable(address=address, reason=(error.strerror or str(error)).lower())
