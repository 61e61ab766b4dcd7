"""What the daemon tells a worker to do."""

from __future__ import annotations

from typing import Any

import msgspec

from erllama_cache.choices import FingerprintMode
from erllama_cache.policy import Policy
from erllama_daemon.messages import (
    AdapterChoice,
    CachedDemand,
    FlashAttention,
    KvType,
    Message,
    Overflow,
    Sampling,
    ToolChoice,
)


class Configure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first frame to a worker: what to load, how, and where to cache.

    None for `context_size` takes what the model was trained for, as far as the free memory goes; for `threads`, one a
    core. `adapters` are attached from the start.
    """

    model: str
    path: str
    cache: str
    ram_bytes: int
    disk_bytes: int | None = None
    write_bytes_per_day: int | None = None
    context_size: int | None = None
    parallel: int = 4
    queue_limit: int = 256
    kv_type: KvType = "f16"
    flash_attention: FlashAttention = "auto"
    gpu_layers: int = -1
    threads: int | None = None
    mmap: bool = True
    policy: Policy = Policy()
    fingerprint_mode: FingerprintMode = "safe"
    fingerprint: str | None = None
    adapters: list[AdapterChoice] = []


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversation holds so far: its messages, its exact tokens (little-endian u32) and its finish key.

    The messages are those that the model was shown. The last one is the assistant's; `tokens` ends where its answer
    ended, and is empty if not all of them are known. `fingerprint` is that of the model that they are tokens of.
    """

    messages: list[Message]
    tokens: bytes
    finish_key: bytes | None
    fingerprint: str


class Generate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Asks for an answer to `messages`, which follow `history` if there is one, or to `tokens` as they stand.

    `tokens` are little-endian u32, and `parent_key` is the chain that they extend. With messages and no history, it is
    the chain that the messages follow, of whose tokens nothing is known but what the cache holds. With the overflow
    "summarize", a conversation that leaves too little room for the answer is refused: who asked summarizes it. A
    `scope` makes it private: it shares state with nobody but requests of the same scope, and none of it reaches a disk.
    Without `cache` it neither looks for state nor leaves any. `tools` are valid, and may be called unless the choice is
    "none". `client` is who asks, 0 for nobody in particular: no client waits for all that another one asked before it.
    """

    id: int
    client: int = 0
    messages: list[Message] = []
    history: History | None = None
    tokens: bytes | None = None
    parent_key: bytes | None = None
    max_tokens: int
    sampling: Sampling
    stop: list[str] = []
    logprobs: int | None = None
    adapters: list[AdapterChoice] = []
    reproducible: bool = False
    overflow: Overflow = "stop"
    scope: str = ""
    cache: bool = True
    require_cached: CachedDemand = None
    logits_digest: bool = False
    tools: list[dict[str, Any]] = []
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """Ends a request at the next tick. An unknown or finished id is fine."""

    id: int


class RamQuota(msgspec.Struct, frozen=True, tag=True):
    """This worker's share of the RAM budget from now on, in bytes."""

    bytes: int


class DiskQuota(msgspec.Struct, frozen=True, tag=True):
    """What the cache may hold on disk and write to it in a day from now on, as in `Configure`."""

    disk_bytes: int | None
    write_bytes_per_day: int | None


class Shutdown(msgspec.Struct, frozen=True, tag=True):
    """Cancel everything, save, exit."""
