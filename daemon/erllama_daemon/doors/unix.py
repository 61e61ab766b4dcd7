"""The Unix socket's own: at its other end is the user, or nobody."""

from __future__ import annotations

import asyncio
import os
import socket
import struct


def is_owner(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer is this process's user, or root; where the kernel does not tell, the socket's mode has to do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    return _peer_uid(transport.get_extra_info("socket")) in (0, os.getuid())


def _peer_uid(peer: socket.socket) -> int:
    """The user at the other end of a Unix socket."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return int(uid)
