"""What the headers of an answer say of it and of the cache."""

from __future__ import annotations

from collections.abc import Mapping

from erllama_daemon.http.cache_header import Reuse, header_of_whole
from erllama_daemon.http.several import Several
from erllama_daemon.messages import Stats

ID_HEADER = "x-request-id"


def headers_of(answers: Several, reuse: Reuse) -> Mapping[str, str]:
    """Those of a stream, of which no more is known than what of the prompt has to be read."""
    return {ID_HEADER: answers.id, **reuse.header}


def headers_of_whole(answers: Several, stats: Stats) -> Mapping[str, str]:
    """Those of an answer that is there; of several, it is the first."""
    return {ID_HEADER: answers.id, **header_of_whole(stats)}
