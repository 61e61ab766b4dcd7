"""The daemon and its models as they are now."""

from __future__ import annotations

from typing import Literal

import msgspec

from erllama_daemon.messages.adapter import Adapter


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One loaded model. `resident_bytes` is the memory of its worker process; `fingerprint` is the effective one.

    `idle_s` is how long nothing has been asked of it; `expires_s` is when it will be unloaded, None for never.
    """

    id: str
    path: str
    pid: int
    status: Literal["loading", "idle", "prefilling", "generating"]
    backend: str
    context_size: int
    quant_type: str
    quant_bits: float
    tier: str
    fingerprint: str
    queue_depth: int
    live_sequences: int
    resident_bytes: int
    ram_rows: int
    ram_bytes: int
    ram_quota_bytes: int
    running: int = 0
    parallel: int = 0
    adapters: list[Adapter] = []
    idle_s: float = 0.0
    expires_s: float | None = None


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """What the cache may take now, in bytes. `ram_bytes` is for all workers together, less while memory is short.

    A `disk_bytes` of None is not configured: it is a part of the free disk, reckoned anew each time. What that comes
    to is the `quota_bytes` of `disk` in `erllama cache stats --json` and `GET /v1/requests`. A `write_bytes_per_day`
    of None is any number.
    """

    ram_bytes: int
    disk_bytes: int | None = None
    write_bytes_per_day: int | None = None


VERSION_HEADER = "erllama-version"
"""The header of every response that says of which version the daemon is."""

StartedBy = Literal["command", "systemd", "foreground"]
"""Who started the daemon: a command that needed it, systemd, or somebody who keeps it in the foreground."""


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `GET /v1/status`. The command prints the same with `running: false` when there is none.

    `url` is where it serves on TCP, None if it does not. `cache_directory` and `data_directory` are where it keeps the
    cache and the conversations: perhaps in another home than that of who asks. `log` is the file that it logs to, None
    if that is its standard error or the journal. It ends by itself after `idle_exit_s` seconds without a request, with
    None never. One that is `draining` saves what it holds and ends soon.
    """

    running: bool
    socket: str
    url: str | None = None
    pid: int | None = None
    version: str | None = None
    uptime_s: float | None = None
    models: list[ModelStatus] = []
    quotas: Quotas | None = None
    log: str | None = None
    started_by: StartedBy | None = None
    idle_exit_s: float | None = None
    draining: bool = False
    cache_directory: str | None = None
    data_directory: str | None = None


class Reloaded(msgspec.Struct, frozen=True):
    """Answer of `POST /v1/reload`: the keys of the configuration that are different now, with dots between.

    Those `changed` are in force: for what is loaded next, as far as they say how a model is loaded. Those of
    `after_restart` take a daemon that is started anew.
    """

    changed: list[str]
    after_restart: list[str]
