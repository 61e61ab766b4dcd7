"""The cache of this machine, which some commands work on without a daemon."""

from __future__ import annotations

from erllama_daemon.directories import Directories, user_directories
from erllama_daemon.errors import CacheElsewhere


def directories_here() -> Directories:
    """The user's folders. Raises CacheElsewhere if commands ask a daemon that may have other ones."""
    directories = user_directories()
    if directories.given_socket is not None:
        raise CacheElsewhere(path=directories.cache)
    return directories
