"""What erllama has and OpenAI's API has no word for: the field `erllama` of requests and of answers."""

from __future__ import annotations

import msgspec

from erllama_daemon.choices import Overflow
from erllama_daemon.messages import (
    AdapterChoice,
    CachedDemand,
    CompleteRequest,
    HitKind,
    ModelOptions,
    SaveState,
    Stats,
)


class Extension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The field `erllama` of a request, each key of which means what it means in `CompleteRequest` and `Sampling`.

    With a `session` its model is asked, whatever the request names, and the messages are the new ones only.
    """

    parent_key: str | None = None
    session: str | None = None
    private: bool = False
    cache: bool = True
    reproducible: bool = False
    require_cached: CachedDemand = None
    overflow: Overflow = "stop"
    adapters: list[AdapterChoice] = []
    options: ModelOptions = ModelOptions()
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    grammar: str | None = None
    seed: int | None = None
    stop: list[str] | None = None

    def over(self, request: CompleteRequest) -> CompleteRequest:
        """The request with all that this asks for besides."""
        fields = ("top_k", "min_p", "repeat_penalty", "grammar", "seed")
        given = {name: value for name in fields if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(
            request,
            model=request.model if self.session is None else None,
            sampling=msgspec.structs.replace(request.sampling, **given),
            stop=request.stop if self.stop is None else self.stop,
            parent_key=request.parent_key if self.parent_key is None else self.parent_key,
            session=self.session,
            private=self.private,
            cache=self.cache,
            reproducible=self.reproducible,
            require_cached=self.require_cached,
            overflow=self.overflow,
            adapters=self.adapters,
            options=self.options,
        )


class ExtendedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The field `erllama` of an answer: of the fields of `Stats` those that OpenAI's API has no place for."""

    finish_key: str
    cache_hit_kind: HitKind
    cached_tokens: int
    saved: SaveState
    seed: int
    stop_sequence: str | None
    cache_note: str | None
    dropped_messages: int
    session: str | None
    queue_ms: float
    ttft_ms: float
    generation_ms: float

    @classmethod
    def of(cls, stats: Stats) -> ExtendedAnswer:
        """That of an answer with these stats."""
        return cls(**{field: getattr(stats, field) for field in cls.__struct_fields__})
