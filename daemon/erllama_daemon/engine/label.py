"""How a block's tokens begin as text, for people who look at the cache."""

from __future__ import annotations

from collections.abc import Sequence

from erllama_daemon.engine.backend import Vocabulary

LABEL_CHARACTERS = 200
_LONGEST_CHARACTER = 4
"""Bytes of UTF-8."""


def label(vocabulary: Vocabulary, tokens: Sequence[int]) -> str:
    """The first 200 characters of the tokens' text, control tokens written out.

    A character whose beginning another block holds is shown as U+FFFD.
    """
    text = bytearray()
    for token in tokens:
        text += vocabulary.piece(token) or vocabulary.control_text(token).encode()
        if len(text) >= LABEL_CHARACTERS * _LONGEST_CHARACTER:
            break
    return text.decode("utf-8", "replace")[:LABEL_CHARACTERS]
