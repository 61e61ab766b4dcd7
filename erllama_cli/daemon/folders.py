"""Whose folders a daemon serves: two homes of one user may meet at one socket, for that is in the runtime folder."""

from __future__ import annotations

import os

from erllama_daemon.directories import Directories

REMEDY = (
    "To have one for the folders of this command: erllama daemon restart. For both at once, give each its own"
    " XDG_RUNTIME_DIR."
)


def told_elsewhere(directories: Directories, cache: str | None, data: str | None) -> str | None:
    """What to say of a daemon that keeps the cache and the conversations there; None if that is where this command has
    them, if it does not say, or if the user named its socket.
    """
    if directories.given_socket is not None:
        return None
    kept = (("the cache", cache, directories.cache), ("the conversations", data, directories.data))
    elsewhere = [
        f"{what} in {theirs}"
        for what, theirs, ours in kept
        if theirs is not None and os.path.realpath(theirs) != os.path.realpath(ours)
    ]
    if not elsewhere:
        return None
    return f"the daemon serves other folders than this command's: {' and '.join(elsewhere)}"
