"""What a shell offers where a conversation or a block has to be named. Asks no daemon, and starts none."""

from __future__ import annotations

import contextlib

SHOWN_DIGITS = 12
_KEYS_LIMIT = 50
_HEXADECIMAL = frozenset("0123456789abcdef")

Candidates = list[tuple[str, str]]
"""What may stand there, each with a word or two about it."""


def complete_session(incomplete: str) -> Candidates:
    """The conversations whose name or id begins so, the one used last first; none if they cannot be read.

    One that has a name goes by it, and by its id only if that has been begun.
    """
    from erllama_cache.errors import ErllamaError
    from erllama_cli.one_line import one_line
    from erllama_daemon.directories import user_directories
    from erllama_daemon.sessions.chats import read_names

    found: Candidates = []
    with contextlib.suppress(ErllamaError, OSError):
        for chat in read_names(user_directories().sessions):
            if chat.name is None:
                found.append((chat.id, one_line(chat.title)))
                continue
            found.append((chat.name, one_line(chat.title)))
            if incomplete and not chat.name.startswith(incomplete):
                found.append((chat.id, one_line(chat.name)))
    return [candidate for candidate in found if candidate[0].startswith(incomplete)]


def complete_chat_or_key(incomplete: str) -> Candidates:
    """The conversations as above, and the blocks on disk whose key begins so, once a digit of it is there."""
    found = complete_session(incomplete)
    if not incomplete or not set(incomplete) <= _HEXADECIMAL:
        return found
    from erllama_cache.errors import ErllamaError
    from erllama_cache.tending.survey import survey
    from erllama_cli.one_line import one_line
    from erllama_daemon.directories import user_directories

    with contextlib.suppress(ErllamaError, OSError):
        rows = [row for row in survey(user_directories().cache).rows.values() if row.key.hex().startswith(incomplete)]
        digits = SHOWN_DIGITS if len(incomplete) < SHOWN_DIGITS else None
        found += [(row.key.hex()[:digits], one_line(row.label)) for row in rows[:_KEYS_LIMIT]]
    return found
