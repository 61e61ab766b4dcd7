"""What the cache may take, for commands that look after it with or without a daemon."""

from __future__ import annotations

from erllama_cache.quotas import default_disk_bytes
from erllama_daemon.config import read_config
from erllama_daemon.directories import Directories
from erllama_daemon.messages import DaemonStatus, Quotas


def quotas_in_force(directories: Directories, status: DaemonStatus | None) -> Quotas:
    """Those that the daemon says it keeps, or else those of the configuration. Raises ConfigInvalid."""
    if status is not None and status.quotas is not None:
        return status.quotas
    return read_config(directories.config_file).cache.quotas


def disk_bytes(directories: Directories, quotas: Quotas) -> int:
    """The quota of the disk as a number, where none is set its default."""
    return default_disk_bytes(directories.cache) if quotas.disk_bytes is None else quotas.disk_bytes
