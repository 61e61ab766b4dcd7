"""Texts and tokens: what is asked of a model besides answers."""

from __future__ import annotations

from typing import Any

import msgspec

from erllama_daemon.messages.conversation import Message


class TokenizeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/tokenize`. `first` adds what the model wants at the very beginning of a text."""

    model: str
    text: str
    first: bool = False


class Tokenized(msgspec.Struct, frozen=True):
    """Token ids, and the text of each; bytes that are no whole character become U+FFFD."""

    tokens: list[int]
    pieces: list[str]


class DetokenizeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/detokenize`."""

    model: str
    tokens: list[int]


class Detokenized(msgspec.Struct, frozen=True):
    """The text of some tokens; control tokens are written out."""

    text: str


class RenderRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/render`: what the model would be asked, without asking it.

    The `tools` are shown to the model as they are for an answer.
    """

    model: str
    messages: list[Message]
    tools: list[dict[str, Any]] = []


class RenderedPrompt(msgspec.Struct, frozen=True):
    """A prompt as text and as tokens; `cuts` are the token positions where its blocks end."""

    text: str
    tokens: list[int]
    cuts: list[int]


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/embed`."""

    model: str
    texts: list[str]


class Embeddings(msgspec.Struct, frozen=True):
    """One vector of length 1 for each text; `tokens` is how many were read for all of them together."""

    embeddings: list[list[float]]
    tokens: int
    pooling: str
