"""LoRA adapters."""

from __future__ import annotations

import msgspec


class AdapterChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A LoRA adapter by the absolute path of its GGUF file, and how strongly it is applied."""

    path: str
    scale: float = 1.0


class Adapter(msgspec.Struct, frozen=True):
    """A LoRA adapter that is attached to a model. `handle` is the SHA-256 of its file, hex."""

    handle: str
    path: str
    scale: float


class AdapterRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/adapters/load|unload|scale|ls`.

    `adapter` is a path for `load`; for the others it may be a handle or its beginning too; `ls` has none.
    """

    model: str
    adapter: str = ""
    scale: float = 1.0


class AdapterList(msgspec.Struct, frozen=True):
    """The adapters attached to a model, and the effective fingerprint that they give it (hex)."""

    adapters: list[Adapter]
    fingerprint: str
