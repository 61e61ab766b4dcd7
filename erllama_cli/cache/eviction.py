"""Blocks that leave the disk because somebody chose them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from erllama_cache.sizes import parse_size
from erllama_cache.tending.selection import Selection
from erllama_cache.tending.survey import Survey, survey
from erllama_cli.cache.removal import remove
from erllama_cli.durations import duration_s
from erllama_cli.model import model_name
from erllama_daemon.errors import RequestInvalid
from erllama_daemon.sessions.chats import find_chat, read_chats

if TYPE_CHECKING:
    from erllama_cli.cache.disk_options import DiskOptions
    from erllama_cli.results.cache import RemovalReport
    from erllama_daemon.directories import Directories


def delete(disk: DiskOptions, directories: Directories, *, quiet: bool) -> RemovalReport:
    """Delete the blocks that answer to all options. Raises RequestInvalid and what looking for them raises."""
    if not disk.choose:
        raise RequestInvalid(
            reason="say what is to go: MODEL, --bytes, --older-than, --model, --session or --key"
        ).with_hint(
            "As in: erllama cache evict --older-than 30d --dry-run. For all that is not pinned: erllama cache clear"
        )
    freed_bytes, unused_s = _size(disk.size), _age_s(disk.older_than)
    found = survey(directories.cache)
    selection = Selection(
        unused_s=unused_s,
        models=() if disk.of_model is None else (disk.of_model, model_name(disk.of_model)),
        below=None if disk.key is None else found.resolve(disk.key),
        only=None if disk.session is None else _only_of(disk.session, found, directories),
        freed_bytes=freed_bytes,
    )
    return remove(selection.rows(found, time.time()), directories, dry_run=disk.dry_run, quiet=quiet)


def _only_of(session: str, found: Survey, directories: Directories) -> list[bytes]:
    """The blocks that no other conversation uses. Raises SessionUnknown and SessionAmbiguous."""
    chats = read_chats(directories.sessions)
    wanted = find_chat(chats, session)
    others = [key for each in chats if each is not wanted for key in each.all_keys]
    return [row.key for row in found.only_of(wanted.all_keys, others)]


def _size(text: str | None) -> int | None:
    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise RequestInvalid(reason=f"--bytes: {error}") from error


def _age_s(text: str | None) -> float | None:
    seconds = None if text is None else duration_s(text)
    if seconds is not None and seconds < 0:
        raise RequestInvalid(reason="--older-than: nothing is older than forever")
    return seconds
