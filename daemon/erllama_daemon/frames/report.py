"""What a worker tells the daemon without being called."""

from __future__ import annotations

import msgspec

from erllama_daemon.messages import Failure, Message, Stats


class LoadProgress(msgspec.Struct, frozen=True, tag=True):
    """How much of the model is loaded, from 0 to 1."""

    progress: float


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The model is loaded."""

    backend: str
    context_size: int
    quant_type: str
    quant_bits: float
    fingerprint: str
    parallel: int


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    """The model cannot be loaded; the worker exits."""

    failure: Failure


class Prefilled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Progress of a prompt, in tokens."""

    id: int
    done: int
    total: int
    cached: int


class Waiting(msgspec.Struct, frozen=True, tag=True):
    """The request is in the queue behind `ahead` others."""

    id: int
    ahead: int


class Text(msgspec.Struct, frozen=True, tag=True):
    """Text of the tokens that became ready together: of the answer, or of the thinking before it."""

    id: int
    text: str
    thinking: bool = False


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last frame of a request that ended well; its blocks are published, or dropped as the stats say.

    `tokens` is the whole chain as little-endian u32: prompt and answer, as far as they were computed.
    `answered` is false if it was cancelled before its first token. `view` is what the model was shown up to its
    answer, if that is not the history and the new messages.
    """

    id: int
    stats: Stats
    tokens: bytes
    finish_key: bytes
    answered: bool
    view: list[Message] | None = None


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The last frame of a request that failed."""

    id: int
    failure: Failure
