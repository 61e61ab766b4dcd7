"""The quota of the disk, as a daemon keeps it that runs, or as the next one will."""

from __future__ import annotations

from erllama_cli.client import Client
from erllama_daemon.directories import Directories


def disk_quota(directories: Directories) -> int:
    """How many bytes the cache on disk may take. Raises ConfigInvalid."""
    from erllama_cli.quotas import disk_bytes, quotas_in_force

    return disk_bytes(directories, quotas_in_force(directories, Client(directories).status()))
