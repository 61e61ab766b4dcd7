"""Conversations of a file, taken in on this machine."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

import msgspec

from erllama_cli.files import STREAM
from erllama_cli.question import valid_text
from erllama_cli.results.sessions import ImportedSession
from erllama_cli.sessions.incoming import read_conversations
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import ImportUnreadable, RequestInvalid, SessionNameTaken, SessionUnknown
from erllama_daemon.sessions.naming import NAME_CHARACTERS, is_name
from erllama_daemon.sessions.transcript import Transcript, adopt_transcripts, read_transcript


def valid_name(name: str) -> str:
    """`name`, given to a conversation. Raises RequestInvalid if it cannot be one."""
    if not is_name(valid_text(name, "--name")):
        raise RequestInvalid(reason=f"a name has at most {NAME_CHARACTERS} characters, of those that can be seen")
    return name


def take_in(file: str, name: str | None, model: str | None) -> list[ImportedSession]:
    """What became of the conversations of one file. Raises ErllamaError, and then none of it was taken in."""
    path = "standard input" if file == STREAM else file
    found = read_conversations(_read(file), path, model)
    if name is not None and len(found) != 1:
        raise RequestInvalid(reason=f"--name is for one conversation; {path} holds {len(found)}")
    database = user_directories().sessions
    coming: dict[str, Transcript] = {}
    for transcript in found:
        here = _here(database, transcript.id)
        if here is not None and here.holds_the_same(transcript):
            continue
        coming[transcript.id] = msgspec.structs.replace(
            transcript, id=transcript.id if here is None else secrets.token_hex(4), name=name or transcript.name
        )
    try:
        adopted = adopt_transcripts(database, coming.values()) if coming else []
    except SessionNameTaken as error:
        error.hint = "Give it another with: erllama sessions import FILE --name NEW"
        raise
    return [_imported(coming.get(each.id, each), each.id, adopted) for each in found]


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STREAM else Path(file).read_bytes()
    except OSError as error:
        raise ImportUnreadable(path=file, reason=error.strerror or error) from error


def _here(database: Path, session: str) -> Transcript | None:
    if not database.is_file():
        return None
    try:
        return read_transcript(database, session)
    except SessionUnknown:
        return None


def _imported(transcript: Transcript, was: str, adopted: list[str]) -> ImportedSession:
    return ImportedSession(
        id=transcript.id,
        was=was,
        called=transcript.called,
        turns=len(transcript.said()),
        model=transcript.model,
        new=transcript.id in adopted,
        model_missing=transcript.model.startswith(os.sep) and not Path(transcript.model).exists(),
    )
