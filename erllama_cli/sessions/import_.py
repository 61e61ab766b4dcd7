"""`erllama sessions import`: what `export` wrote, on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from erllama_cache.errors import ErllamaError
from erllama_cli import options
from erllama_cli.failures import failure_of, print_failure, reported_failures
from erllama_cli.files import STREAM
from erllama_cli.model import model_name
from erllama_cli.one_line import one_line
from erllama_cli.output import counted, print_json
from erllama_cli.question import valid_text
from erllama_cli.results.sessions import Imported, ImportedSession
from erllama_cli.sessions.named import named
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import ImportUnreadable, RequestInvalid, SessionNameTaken, SessionUnknown

if TYPE_CHECKING:
    from erllama_daemon.sessions.transcript import Transcript

EXAMPLES = """\b
Examples:
  erllama sessions import conversations.json
  erllama sessions import build.json --name "the other build"
  erllama sessions import messages.json --model demo"""


def import_(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="What was exported as JSON; - is standard input.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NEW", help="What it is to be called here, if there is only one.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="What the model of the conversations is called here.")
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Take in conversations that were exported elsewhere.

    Messages of another program's, {"messages": [{"role", "content"}]}, become one too. A conversation that is here
    already is left as it is; if something else was said in it, it comes in under another id. Of a file everything is
    taken in or nothing; one that is refused does not keep the others.
    """
    with reported_failures(as_json=as_json, debug=debug):
        given = None if name is None else _valid_name(name)
        here = None if model is None else model_name(model)
        taken: list[ImportedSession] = []
        failures = []
        for file in files:
            try:
                found = _take_in(file, given, here)
            except ErllamaError as error:
                failures.append(failure_of(error))
                print_failure(failures[-1])
                continue
            taken += found
            if not (as_json or quiet):
                _print(found)
        if as_json:
            print_json(Imported(taken, failures))
        if failures:
            raise typer.Exit(failures[0].exit_code)


def _valid_name(name: str) -> str:
    from erllama_daemon.sessions.naming import NAME_CHARACTERS, is_name

    if not is_name(valid_text(name, "--name")):
        raise RequestInvalid(reason=f"a name has at most {NAME_CHARACTERS} characters, of those that can be seen")
    return name


def _take_in(file: str, name: str | None, model: str | None) -> list[ImportedSession]:
    """What became of the conversations of one file. Raises ErllamaError, and then none of it was taken in."""
    import secrets

    from erllama_cli.sessions.incoming import read_conversations
    from erllama_daemon.sessions.transcript import adopt_transcripts

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
    from erllama_daemon.sessions.transcript import read_transcript

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


def _print(sessions: list[ImportedSession]) -> None:
    if not sessions:
        print("there is no conversation in it")
    for each in sessions:
        if not each.new:
            print(f"{named(each)} is here already and was left as it is")
            continue
        turns = counted(each.turns, "turn")
        print(f"imported {named(each)}: {turns}{_why_renamed(each)}")
        if each.model_missing:
            print(f"its model is not here: {one_line(each.model)}")


def _why_renamed(each: ImportedSession) -> str:
    return "" if each.id == each.was else f"; something else was said in {each.was} here"
