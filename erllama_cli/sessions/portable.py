"""Conversations in a file, to take them to another machine."""

from __future__ import annotations

import msgspec

from erllama_daemon.sessions.transcript import Transcript

FORMAT = "erllama-conversations"
VERSION = 1


class Heading(msgspec.Struct, frozen=True):
    """What every version of the format begins with."""

    format: str
    version: int


class Conversations(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file: everything that is known of the conversations, their tokens too."""

    format: str = FORMAT
    version: int = VERSION
    conversations: list[Transcript]
