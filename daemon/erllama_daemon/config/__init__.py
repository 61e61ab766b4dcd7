"""The user's configuration: one TOML file, in which every key may be left out. docs/config.md describes it.

`tables` has the keys, `settings` what is in force and where it comes from.
"""

from erllama_daemon.config.daemon_table import DaemonConfig
from erllama_daemon.config.names import Folders, Hosts, Origins
from erllama_daemon.config.settings import Settings, effective, read_config
from erllama_daemon.config.tables import (
    KEEP_ALIVE_S,
    CacheConfig,
    Config,
    LoadConfig,
    ModelConfig,
    RunConfig,
    SessionsConfig,
)
from erllama_daemon.config.values import Address, ByteSize, Duration, Span

__all__ = [
    "KEEP_ALIVE_S",
    "Address",
    "ByteSize",
    "CacheConfig",
    "Config",
    "DaemonConfig",
    "Duration",
    "Folders",
    "Hosts",
    "LoadConfig",
    "ModelConfig",
    "Origins",
    "RunConfig",
    "SessionsConfig",
    "Settings",
    "Span",
    "effective",
    "read_config",
]
