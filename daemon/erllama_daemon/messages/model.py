"""Models: how they are loaded, and what they are doing."""

from __future__ import annotations

import msgspec

from erllama_cache.choices import FingerprintMode
from erllama_cache.policy import PolicyKnobs
from erllama_daemon.choices import FlashAttention, KvType


class ModelOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is loaded. None takes whatever is loaded, or else the default.

    `context_size` in tokens; `parallel` is how many requests are answered together; `gpu_layers` as in llama.cpp,
    -1 for all; `policy` turns knobs of when state is saved, each by itself; `fingerprint` (64 hexadecimal digits) goes
    with `fast_unsafe` alone; `keep_alive_s` is how long the model stays loaded after its last request, -1 for ever.
    """

    context_size: int | None = None
    parallel: int | None = None
    kv_type: KvType | None = None
    flash_attention: FlashAttention | None = None
    gpu_layers: int | None = None
    threads: int | None = None
    mmap: bool | None = None
    policy: PolicyKnobs | None = None
    fingerprint_mode: FingerprintMode | None = None
    fingerprint: str | None = None
    keep_alive_s: float | None = None


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/models/load` and `/v1/models/unload`."""

    model: str
    options: ModelOptions = ModelOptions()


class Evicted(msgspec.Struct, frozen=True):
    """What an eviction of live sequences did. `saved` counts blocks that were not yet in the cache."""

    sequences: int
    saved: int


class ForgetRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/cache/forget`: the keys (hexadecimal) of blocks that were deleted, or everything."""

    keys: list[str] = []
    everything: bool = False


class Forgotten(msgspec.Struct, frozen=True):
    """What the loaded models had of it: live sequences, and blocks in memory."""

    sequences: int
    blocks: int


class Unloaded(msgspec.Struct, frozen=True):
    """Answer of `POST /v1/models/unload`: whether the model was loaded before."""

    unloaded: bool
