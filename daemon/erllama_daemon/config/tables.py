"""The tables of the configuration: each key with its default, its limits and what it is for.

`description` is one line. What holds if the key is left out is the field's own default or, if that is None, `value` in
`extra`, as one would write it, or else `default`, in words. `examples` are what one might write.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from erllama_cache.policy import PolicyKnobs
from erllama_daemon.choices import (
    MAX_TOKENS,
    MIN_P,
    REPEAT_PENALTY,
    TEMPERATURE,
    TOP_K,
    TOP_P,
    FlashAttention,
    KvType,
)
from erllama_daemon.config.daemon_table import DaemonConfig
from erllama_daemon.config.values import ByteSize, Duration, Span
from erllama_daemon.messages import ModelOptions, Quotas

KEEP_ALIVE_S = 30 * 60.0
"""How long a model stays loaded after its last request, unless something else is said."""

_MOST = (1 << 31) - 1


Alias = Annotated[
    str, Meta(min_length=1, description="A model by a name of your own.", examples=["/home/me/models/big.gguf"])
]


class CacheConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the cache may take. A quota of 0 turns a tier off."""

    ram_bytes: Annotated[
        ByteSize | None,
        Meta(
            description="The cache in memory, of all models together.",
            examples=["2 GiB"],
            extra={"default": "1/16 of memory, at most 1 GiB"},
        ),
    ] = None
    disk_bytes: Annotated[
        ByteSize | None,
        Meta(
            description="The cache on disk, foreign files in its folder included.",
            examples=["50 GiB"],
            extra={"default": "1/10 of free disk, at most 20 GiB"},
        ),
    ] = None
    write_bytes_per_day: Annotated[
        ByteSize | None,
        Meta(
            description="What the cache may write to disk in a day.",
            examples=["20 GB"],
            extra={"default": "any number"},
        ),
    ] = None

    @property
    def quotas(self) -> Quotas:
        """What that makes of the quotas."""
        # Imported here: it takes SQLite, and who only checks the file needs none.
        from erllama_cache.quotas import default_ram_bytes

        return Quotas(
            ram_bytes=default_ram_bytes() if self.ram_bytes is None else int(self.ram_bytes),
            disk_bytes=None if self.disk_bytes is None else int(self.disk_bytes),
            write_bytes_per_day=None if self.write_bytes_per_day is None else int(self.write_bytes_per_day),
        )


class SessionsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long conversations are kept."""

    keep: Annotated[
        Span | None,
        Meta(
            description="Delete a conversation that was not used for so long.",
            examples=["90d"],
            extra={"default": "forever"},
        ),
    ] = None


class LoadConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How models are loaded, where neither a request nor the load before says otherwise."""

    ctx: Annotated[
        int | None,
        Meta(
            ge=1,
            le=1 << 24,
            description="How many tokens a model can hold in mind.",
            examples=[8192],
            extra={"default": "that of its training, if it fits"},
        ),
    ] = None
    parallel: Annotated[
        int | None,
        Meta(
            ge=1,
            le=64,
            description="How many requests are answered together.",
            examples=[8],
            extra={"value": "4"},
        ),
    ] = None
    kv_type: Annotated[
        KvType | None,
        Meta(description="How precisely the KV cache is kept.", examples=["q8_0"], extra={"value": "f16"}),
    ] = None
    flash_attention: Annotated[
        FlashAttention | None,
        Meta(description="Whether to use flash attention.", examples=["on"], extra={"value": "auto"}),
    ] = None
    gpu_layers: Annotated[
        int | None,
        Meta(
            ge=-1,
            le=_MOST,
            description="How many layers the GPU computes; -1 is all of them.",
            examples=[0],
            extra={"value": "-1"},
        ),
    ] = None
    threads: Annotated[
        int | None,
        Meta(
            ge=1,
            le=1024,
            description="How many threads compute.",
            examples=[4],
            extra={"default": "as many as there are cores"},
        ),
    ] = None
    mmap: Annotated[
        bool | None,
        Meta(
            description="Map a model's file instead of reading it whole into memory.",
            examples=[False],
            extra={"value": "true"},
        ),
    ] = None
    keep_alive: Annotated[
        Duration | None,
        Meta(
            description="How long a model stays loaded after its last request.",
            examples=["2h", "forever"],
            extra={"value": "30m"},
        ),
    ] = None

    def over(self, below: LoadConfig) -> LoadConfig:
        """This and, where it says nothing, what `below` says."""
        said = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(below, **said)

    @property
    def options(self) -> ModelOptions:
        """The same as a request would ask for it."""
        return ModelOptions(
            context_size=self.ctx,
            parallel=self.parallel,
            kv_type=self.kv_type,
            flash_attention=self.flash_attention,
            gpu_layers=self.gpu_layers,
            threads=self.threads,
            mmap=self.mmap,
            keep_alive_s=None if self.keep_alive is None else float(self.keep_alive),
        )


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `erllama run` and `erllama chat` ask for where no option says otherwise."""

    model: Annotated[
        str | None,
        Meta(
            min_length=1,
            description="What `erllama chat` without MODEL begins to talk with.",
            examples=["demo"],
            extra={"default": "none"},
        ),
    ] = None
    system: Annotated[
        str | None,
        Meta(
            description="What a model should know before all else; -s '' asks without it.",
            examples=["Answer in one sentence."],
            extra={"default": "nothing"},
        ),
    ] = None
    max_tokens: Annotated[int, Meta(ge=1, le=_MOST, description="Stop an answer after so many tokens.")] = MAX_TOKENS
    temperature: Annotated[
        float, Meta(ge=0, le=1e38, description="How freely to choose; 0 always takes the likeliest.")
    ] = TEMPERATURE
    top_k: Annotated[
        int, Meta(ge=0, le=_MOST, description="Choose among the likeliest so many tokens; 0 is all of them.")
    ] = TOP_K
    top_p: Annotated[float, Meta(ge=0, le=1, description="Choose among the likeliest that add up to this.")] = TOP_P
    min_p: Annotated[
        float, Meta(ge=0, le=1, description="Leave out tokens less likely than this times the likeliest.")
    ] = MIN_P
    repeat_penalty: Annotated[
        float, Meta(gt=0, le=1e38, description="Make tokens that came lately less likely; 1 is off.")
    ] = REPEAT_PENALTY


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What differs for one model, as the user calls it."""

    load: LoadConfig = LoadConfig()
    policy: PolicyKnobs = PolicyKnobs()


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that can be configured."""

    cache: Annotated[CacheConfig, Meta(description="What the cache may take. A quota of 0 turns a tier off.")] = (
        CacheConfig()
    )
    daemon: Annotated[DaemonConfig, Meta(description="How the daemon lives.")] = DaemonConfig()
    sessions: Annotated[SessionsConfig, Meta(description="How long conversations are kept.")] = SessionsConfig()
    load: Annotated[
        LoadConfig,
        Meta(description="How models are loaded, where neither a request nor the model's own table says otherwise."),
    ] = LoadConfig()
    run: Annotated[
        RunConfig,
        Meta(description="What `erllama run` and `erllama chat` ask for, where no option says otherwise."),
    ] = RunConfig()
    policy: Annotated[PolicyKnobs, Meta(description="When state is saved, for every model.")] = PolicyKnobs()
    aliases: Annotated[dict[str, Alias], Meta(description="Names of your own for models.")] = {}
    models: Annotated[
        dict[str, ModelConfig],
        Meta(description="What differs for one model, by the name that the command line knows it by."),
    ] = {}
