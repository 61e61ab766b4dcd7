"""What a daemon is busy with, for who looks on."""

from __future__ import annotations

from typing import Literal

import msgspec

from erllama_daemon.messages.status import ModelStatus

RequestState = Literal["waiting", "loading", "queued", "prefilling", "generating"]
"""What becomes of a request: it waits for the turn of its conversation, its model is being loaded, it waits to be
admitted, its prompt is being read, or it is being answered."""


class RunningRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is under way. `id` is the number that `POST /v1/cancel/ID` takes, `request_id` that of the log.

    `client` is the API that it was asked with; `model` is the `id` of its model's row, once that is loaded. Of the
    prompt, in tokens, `read_tokens` are in the KV buffer, of which `cached_tokens` were reused. `tokens_per_s` is the
    mean since the first token, `ahead` how many are before it in the queue. A private conversation has no name here.
    """

    id: int
    request_id: str
    model: str
    state: RequestState
    client: str
    age_s: float
    session: str | None = None
    ahead: int = 0
    prompt_tokens: int = 0
    read_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    tokens_per_s: float = 0.0


class TierRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A tier of the cache: what it holds, and what it may."""

    blocks: int
    bytes: int
    quota_bytes: int


class LastMinute(msgspec.Struct, frozen=True, kw_only=True):
    """The answers that have ended within the last minute, by what the cache held of their prompts; and their tokens.

    Those that leave the cache alone are no hits, and count as answers.
    """

    answers: int = 0
    exact: int = 0
    partial: int = 0
    cold: int = 0
    reused_tokens: int = 0
    read_tokens: int = 0
    generated_tokens: int = 0


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `GET /v1/requests`: the answers under way, the oldest first, the models, and the cache.

    `ram` is that of the models now loaded; `disk` is None where it cannot be looked into.
    """

    version: str
    uptime_s: float
    requests: list[RunningRequest]
    models: list[ModelStatus]
    last_minute: LastMinute
    ram: TierRoom
    disk: TierRoom | None = None
