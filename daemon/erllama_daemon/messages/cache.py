"""The cache as a model sees it: what it holds of a prompt, and whether what it holds is right."""

from __future__ import annotations

from typing import Literal

import msgspec

from erllama_cache.disk.departure import Departure
from erllama_cache.disk.difference import Difference
from erllama_daemon.messages.adapter import Adapter, AdapterChoice
from erllama_daemon.messages.conversation import Message
from erllama_daemon.messages.event import Failure

BlockPlace = Literal["live", "ram", "disk", "missing"]
"""Where a block would come from: it lies in the KV buffer, in a tier, or has to be computed."""

BlockSource = Literal["prompt", "generated", "together"]
"""What computed a block: a prompt being read, an answer alone in its buffer, or one beside others."""

MissReason = Literal[
    "diverged",
    "cut_elsewhere",
    "other_model",
    "other_adapter",
    "other_settings",
    "evicted",
    "generated",
    "no_logits",
    "never_saved",
]


class ExplainRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/cache/explain`.

    The prompt is that of a `CompleteRequest` with the same fields. With a session and without messages it is the
    conversation as it stands.
    """

    messages: list[Message] = []
    model: str | None = None
    session: str | None = None
    adapters: list[AdapterChoice] = []
    reproducible: bool = False


class ExplainedBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A block of a prompt: its first position, its length in tokens, where it is, and its key (hex) if it is there."""

    start: int
    tokens: int
    where: BlockPlace
    source: BlockSource = "prompt"
    key: str | None = None


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """Where a prompt leaves what is stored: at position `token`, after the text `before`, with `here`, not `there`."""

    token: int
    before: str
    here: str
    there: str


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """Why the first block that has to be computed, which begins at position `token`, is not there.

    `diverged`: the cache holds something else from `divergence` on. `cut_elsewhere`: it holds the same tokens in
    blocks that end elsewhere, the last one at `end`. `other_…`: it holds the tokens up to `end` under another root,
    which has `differences`. `evicted`: it was there until `departed_at` (Unix seconds), and went because of
    `departure`. `generated`: it holds the tokens up to `end`, but an answer made them, which has other bits.
    `no_logits`: it is there, but without the logits to begin an answer with. `never_saved`: nothing is known of it,
    or `detail` says what keeps it out.
    """

    reason: MissReason
    token: int
    end: int | None = None
    divergence: Divergence | None = None
    differences: list[Difference] = []
    departure: Departure | None = None
    departed_at: float | None = None
    detail: str | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `POST /v1/cache/explain`: what a request with this prompt would find now.

    Of `prompt_tokens`, `reused_tokens` would not be computed: `live_tokens`, `ram_tokens` and `disk_tokens`. `root`
    (hex) stands for the model and its settings, `adapters` are those in use, `note` says why a conversation cannot go
    on as it was.
    """

    model: str
    session: str | None = None
    root: str
    prompt_tokens: int
    reused_tokens: int
    live_tokens: int
    ram_tokens: int
    disk_tokens: int
    blocks: list[ExplainedBlock]
    miss: Miss | None = None
    adapters: list[Adapter] = []
    note: str | None = None


class RecomputeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/cache/recompute`: `count` blocks are drawn, by `seed`, of those that the loaded model, with
    what is attached to it, can compute.
    """

    model: str
    count: int
    seed: int = 0


class Recomputing(msgspec.Struct, frozen=True, tag="recomputing", tag_field="event"):
    """`done` of `total` blocks have been computed again."""

    done: int
    total: int


class WrongBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A block that is not what its tokens give: key (hex), first position, and length in tokens."""

    key: str
    start: int
    tokens: int


class Recomputed(msgspec.Struct, frozen=True, kw_only=True, tag="recomputed", tag_field="event"):
    """The last event of `POST /v1/cache/recompute`.

    `checked` blocks were computed again, and all but `wrong` have every bit they had; those are in quarantine now. Not
    checked: `not_drawn` blocks of this model and its settings, `together` that were generated beside others, which
    gives other bits each time, `other_roots` of other models or settings, `unreachable` whose chain is broken, and
    `gone` that went meanwhile.
    """

    model: str
    seed: int
    checked: int
    wrong: list[WrongBlock]
    not_drawn: int
    together: int
    other_roots: int
    unreachable: int
    gone: int


RecomputeEvent = Recomputing | Recomputed | Failure
