"""What a shell offers where a conversation, a block or an adapter has to be named. Starts no daemon."""

from __future__ import annotations

import contextlib

import typer

SHOWN_DIGITS = 12
_KEYS_LIMIT = 50
_PATIENCE_S = 0.1
"""So long a daemon may take to answer: whoever pressed the key waits."""
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
    """The conversations as above, and the blocks as below."""
    return complete_session(incomplete) + complete_key(incomplete)


def complete_key(incomplete: str) -> Candidates:
    """The blocks on disk whose key begins so, once a digit of it is there; by the beginning of it, which will do."""
    return _keys(incomplete, SHOWN_DIGITS if len(incomplete) < SHOWN_DIGITS else None)


def complete_whole_key(incomplete: str) -> Candidates:
    """As `complete_key`, where all of a key is needed."""
    return _keys(incomplete, None)


def complete_adapter(ctx: typer.Context, incomplete: str) -> Candidates:
    """The adapters that are attached to the model on the line, by handle; none if no daemon says so at once."""
    model = ctx.params.get("model")
    if not model:
        return []
    from erllama_cache.errors import ErllamaError
    from erllama_cli.client import Client
    from erllama_cli.model import model_name, same_model
    from erllama_cli.one_line import one_line
    from erllama_daemon.directories import user_directories

    with contextlib.suppress(ErllamaError, OSError):
        named = model_name(model)
        status = Client(user_directories()).status(timeout_s=_PATIENCE_S)
        return [
            (adapter.handle[:SHOWN_DIGITS], one_line(adapter.path))
            for loaded in (status.models if status is not None else [])
            if same_model(named, loaded.id)
            for adapter in loaded.adapters
            if adapter.handle.startswith(incomplete)
        ]
    return []


def complete_model(incomplete: str) -> Candidates:
    """The models whose names begin so: demo, aliases, and those in other programs' stores. No file of theirs is read.

    Also by the last part of a repository's name, once something of it is there. Paths are left to the shell.
    """
    from erllama_cache.errors import ErllamaError
    from erllama_daemon.catalog.demo import DEMO, find_demo
    from erllama_daemon.catalog.stores import stored_models

    found: Candidates = []
    with contextlib.suppress(ErllamaError):
        find_demo()
        found.append((DEMO, "SmolLM2-135M-Instruct"))
    found += complete_alias("")
    with contextlib.suppress(OSError):
        for model in stored_models():
            found.append((model.name, model.store))
            last = model.name.rpartition("/")[2]
            if incomplete and not model.name.startswith(incomplete) and last.startswith(incomplete):
                found.append((last, model.store))
    return [*dict.fromkeys(candidate for candidate in found if candidate[0].startswith(incomplete))]


def complete_alias(incomplete: str) -> Candidates:
    """The aliases that begin so, each with what it stands for; none if the configuration cannot be read."""
    from erllama_cache.errors import ErllamaError
    from erllama_cli.one_line import one_line
    from erllama_daemon.catalog.find import ALIASES

    with contextlib.suppress(ErllamaError, OSError):
        return [(name, one_line(meant)) for name, meant in ALIASES.current().items() if name.startswith(incomplete)]
    return []


def _keys(incomplete: str, digits: int | None) -> Candidates:
    if not incomplete or not set(incomplete) <= _HEXADECIMAL:
        return []
    from erllama_cache.errors import ErllamaError
    from erllama_cache.tending.survey import survey
    from erllama_cli.one_line import one_line
    from erllama_daemon.directories import user_directories

    with contextlib.suppress(ErllamaError, OSError):
        rows = [row for row in survey(user_directories().cache).rows.values() if row.key.hex().startswith(incomplete)]
        return [(row.key.hex()[:digits], one_line(row.label)) for row in rows[:_KEYS_LIMIT]]
    return []


def complete_config_key(incomplete: str) -> Candidates:
    """The keys of the configuration that begin so, and those that are set with a name in them."""
    from erllama_cache.errors import ErllamaError
    from erllama_daemon.config import effective
    from erllama_daemon.config.key import NAME, keys
    from erllama_daemon.directories import user_directories

    with contextlib.suppress(ErllamaError, OSError):
        rows = effective(user_directories().config_file).rows()
        return [(row.key, row.summary) for row in rows if row.key.startswith(incomplete)]
    return [(key.name, key.summary) for key in keys() if NAME not in key.path and key.name.startswith(incomplete)]


def complete_setting(incomplete: str) -> Candidates:
    """As `complete_config_key`, with the sign that the value follows; nothing once that is there."""
    return [] if "=" in incomplete else [(f"{key}=", summary) for key, summary in complete_config_key(incomplete)]
