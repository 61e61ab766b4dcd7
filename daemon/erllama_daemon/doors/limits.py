"""What one client may take: bytes, connections and time."""

from __future__ import annotations

from dataclasses import dataclass

from erllama_daemon.config import DaemonConfig
from erllama_daemon.http.door import Door


@dataclass(frozen=True, slots=True)
class Limits:
    """What is borne at a door. Times are in seconds."""

    connections: int
    body_bytes: int
    header_bytes: int
    header_count: int
    header_s: float
    body_s: float
    write_s: float
    idle_s: float

    @classmethod
    def of(cls, door: Door, config: DaemonConfig) -> Limits:
        """Those of the configuration."""
        return cls(
            connections=config.http_connections if door == "tcp" else config.connections,
            body_bytes=int(config.body_bytes),
            header_bytes=int(config.header_bytes),
            header_count=config.header_count,
            header_s=float(config.header_timeout),
            body_s=float(config.body_timeout),
            write_s=float(config.write_timeout),
            idle_s=float(config.idle_timeout),
        )
