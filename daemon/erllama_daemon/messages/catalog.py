"""The models that there are, loaded or not: what their files say of them, and what memory they will take."""

from __future__ import annotations

from typing import Literal

import msgspec

from erllama_daemon.choices import KvType
from erllama_daemon.messages.model import ModelOptions

CacheCapability = Literal["dense", "sliding window", "hybrid", "recurrent", "none"]


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the header of a model's file says.

    `parameters` is how many numbers its tensors hold, and `quant_bits` how many bits each takes on average.
    `context_size` is how many tokens it was trained for. `template` says how it is told who speaks: by a well-known
    format's name, `own` for another, None if it has no chat template. `thinking` is whether that knows of thinking.
    `embeddings` says how a model that was made for embeddings pools them; a model that does not generate text is no
    good for anything else. `cache` is what a cached block of it holds: keys and values of all tokens (`dense`), of
    which most layers look at a window (`sliding window`), also a state (`hybrid`), nothing but a state (`recurrent`),
    or that there are no blocks (`none`).
    """

    architecture: str = ""
    parameters: int = 0
    quantization: str = ""
    quant_bits: float = 0.0
    context_size: int = 0
    template: str | None = None
    thinking: bool = False
    embeddings: str | None = None
    generates: bool = True
    cache: CacheCapability = "dense"


class CatalogModel(ModelFacts, frozen=True, kw_only=True):
    """A model, and where it is: in which program's store, or `demo`, or `alias` for one that only an alias leads to.

    `bytes` is the size of its file, or of all of them. `aliases` are the user's own names for it. With a `problem`, its
    file cannot be read, and everything that the file would say is left out.
    """

    name: str
    store: str
    path: str
    bytes: int
    aliases: list[str] = []
    loaded: bool = False
    problem: str | None = None


class Catalog(msgspec.Struct, frozen=True):
    """Answer of `GET /v1/catalog`, and what `models ls --json` prints."""

    models: list[CatalogModel]


class ModelInfoRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/catalog/info`: a model, and how it would be loaded."""

    model: str
    options: ModelOptions = ModelOptions()


class MemoryNeed(msgspec.Struct, frozen=True, kw_only=True):
    """What a model will take once it is loaded, in bytes, as far as its header tells.

    `context_size` (tokens), `parallel` and `kv_type` are what it would be loaded with. `weights_bytes` is the model
    itself, `state_bytes` its KV buffer and recurrent state, `compute_bytes` what llama.cpp computes in; `total_bytes`
    is all of that. `together_bytes` comes on top when several requests are answered at once for the first time.
    """

    context_size: int
    parallel: int
    kv_type: KvType
    weights_bytes: int
    state_bytes: int
    compute_bytes: int
    total_bytes: int
    together_bytes: int


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `POST /v1/catalog/info`, and what `models info --json` prints.

    `available_bytes` is the memory that is free now, None if the system does not tell; `fits` whether the total is no
    more.
    """

    model: CatalogModel
    memory: MemoryNeed
    available_bytes: int | None
    fits: bool | None
