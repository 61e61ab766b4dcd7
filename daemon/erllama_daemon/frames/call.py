"""Frames with one answer, which come at any time, whatever is being generated."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from erllama_daemon.frames.request import History
from erllama_daemon.messages import Adapter, AdapterChoice, Explanation, Message, Recomputed


class AskStatus(msgspec.Struct, frozen=True, tag=True):
    """Asks for a `Status`; answered at any time."""

    id: int


class Tokenize(msgspec.Struct, frozen=True, tag=True):
    """Asks for `Tokens`."""

    id: int
    text: str
    first: bool


class Detokenize(msgspec.Struct, frozen=True, tag=True):
    """Asks for `Detokenized`. `tokens` are little-endian u32."""

    id: int
    tokens: bytes


class Render(msgspec.Struct, frozen=True, tag=True):
    """Asks for `Rendered`."""

    id: int
    messages: list[Message]
    tools: list[dict[str, Any]]


class Embed(msgspec.Struct, frozen=True, tag=True):
    """Asks for `Embedded`: of texts, and then of prompts that are tokens already (little-endian u32)."""

    id: int
    texts: list[str]
    prompts: list[bytes] = []


class LoadAdapter(msgspec.Struct, frozen=True, tag=True):
    """Attaches an adapter for every request admitted from now on; asks for `Adapters`."""

    id: int
    path: str
    scale: float


class UnloadAdapter(msgspec.Struct, frozen=True, tag=True):
    """Detaches an adapter, named by its path, its handle or the beginning of it; asks for `Adapters`. Idempotent."""

    id: int
    adapter: str


class ScaleAdapter(msgspec.Struct, frozen=True, tag=True):
    """Changes how strongly an attached adapter is applied; asks for `Adapters`."""

    id: int
    adapter: str
    scale: float


class ListAdapters(msgspec.Struct, frozen=True, tag=True):
    """Asks for `Adapters`."""

    id: int


class EvictLive(msgspec.Struct, frozen=True, tag=True):
    """Saves whatever is live and lets go of what nobody uses; asks for `LiveEvicted`."""

    id: int


class ForgetScope(msgspec.Struct, frozen=True, tag=True):
    """Lets go of all that private requests of one scope have left; they have ended. Asks for `ScopeForgotten`."""

    id: int
    scope: str


class Forget(msgspec.Struct, frozen=True, tag=True):
    """Lets go, unsaved, of blocks that somebody deleted: of these or, for None, of all. Asks for `Forgotten`."""

    id: int
    keys: list[bytes] | None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far one request is, in tokens: `read_tokens` of its prompt are in the KV buffer, `cached_tokens` were reused.

    It has been generating for `generating_s` seconds.
    """

    id: int
    state: Literal["queued", "prefilling", "generating"]
    prompt_tokens: int
    read_tokens: int
    cached_tokens: int
    generated_tokens: int
    generating_s: float


class Status(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What a worker is doing, and its RAM tier. `requests` are those that run, and then those that wait, in order."""

    id: int
    status: Literal["idle", "prefilling", "generating"]
    queue_depth: int
    live_sequences: int
    ram_rows: int
    ram_bytes: int
    ram_quota_bytes: int
    running: int
    fingerprint: str
    adapters: list[Adapter]
    requests: list[Progress] = []


class Tokens(msgspec.Struct, frozen=True, tag=True):
    """Tokens as little-endian u32, and the text of each."""

    id: int
    tokens: bytes
    pieces: list[str]


class Detokenized(msgspec.Struct, frozen=True, tag=True):
    """The text of some tokens."""

    id: int
    text: str


class Rendered(msgspec.Struct, frozen=True, tag=True):
    """A prompt as text, as tokens (little-endian u32), and the positions where its blocks end."""

    id: int
    text: str
    tokens: bytes
    cuts: list[int]


class Embedded(msgspec.Struct, frozen=True, tag=True):
    """One vector a text, little-endian float32."""

    id: int
    vectors: list[bytes]
    tokens: int
    pooling: str


class Adapters(msgspec.Struct, frozen=True, tag=True):
    """What is attached now, and the effective fingerprint (hex)."""

    id: int
    adapters: list[Adapter]
    fingerprint: str


class LiveEvicted(msgspec.Struct, frozen=True, tag=True):
    """How many sequences were let go of, and how many blocks had to be saved first."""

    id: int
    sequences: int
    saved: int


class ScopeForgotten(msgspec.Struct, frozen=True, tag=True):
    """Nothing of the scope is left."""

    id: int


class Forgotten(msgspec.Struct, frozen=True, tag=True):
    """How many live sequences and how many blocks in memory were let go of."""

    id: int
    sequences: int
    blocks: int


class Explain(msgspec.Struct, frozen=True, tag=True):
    """Asks for `Explained`: what a `Generate` with these fields would find; without messages, the history as it is."""

    id: int
    messages: list[Message] = []
    history: History | None = None
    adapters: list[AdapterChoice] = []
    reproducible: bool = False
    scope: str = ""


class Explained(msgspec.Struct, frozen=True, tag=True):
    """What a request would find."""

    id: int
    explanation: Explanation


class Recompute(msgspec.Struct, frozen=True, tag=True):
    """Draws `count` stored blocks and computes them again; asks for `Rechecked` …, and at last `RecomputeEnded`.

    Gives way to every request, and `Cancel` ends it.
    """

    id: int
    count: int
    seed: int


class Rechecked(msgspec.Struct, frozen=True, tag=True):
    """Progress of a `Recompute`, in blocks."""

    id: int
    done: int
    total: int


class RecomputeEnded(msgspec.Struct, frozen=True, tag=True):
    """The last frame of a `Recompute` that ended well."""

    id: int
    result: Recomputed


Call = (
    AskStatus
    | Tokenize
    | Detokenize
    | Render
    | Embed
    | LoadAdapter
    | UnloadAdapter
    | ScaleAdapter
    | ListAdapters
    | EvictLive
    | Explain
    | Recompute
    | ForgetScope
    | Forget
)
"""Frames with one answer, which come at any time, whatever is being generated."""

CallAnswer = (
    Status
    | Tokens
    | Detokenized
    | Rendered
    | Embedded
    | Adapters
    | LiveEvicted
    | Explained
    | Rechecked
    | RecomputeEnded
    | ScopeForgotten
    | Forgotten
)
