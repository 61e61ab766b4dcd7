"""What the headers of an answer say of the cache."""

from __future__ import annotations

from collections.abc import Mapping

from erllama_daemon.http.openai.several import Reuse, Several
from erllama_daemon.messages import HitKind, Stats

CACHE_HEADER = "x-erllama-cache"
ID_HEADER = "x-request-id"


def headers_of(answers: Several, reuse: Reuse) -> Mapping[str, str]:
    """Those of a stream, of which no more is known than what of the prompt has to be read."""
    kind: HitKind = "cold" if not reuse.cached else "exact" if reuse.cached == reuse.total else "partial"
    return {ID_HEADER: answers.id, CACHE_HEADER: _told(kind, reuse.cached, reuse.total)}


def headers_of_whole(answers: Several, stats: Stats) -> Mapping[str, str]:
    """Those of an answer that is there; of several, it is the first."""
    told = _told(stats.cache_hit_kind, stats.cached_tokens, stats.prompt_tokens)
    return {ID_HEADER: answers.id, CACHE_HEADER: f"{told}; saved={stats.saved}"}


def _told(kind: HitKind, reused: int, prompt: int) -> str:
    return f"{kind}; reused={reused}; prompt={prompt}"
