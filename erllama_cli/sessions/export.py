"""`erllama sessions export`: conversations in one file."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.files import STREAM
from erllama_cli.output import counted, print_json, readable_bytes, write_whole_text
from erllama_cli.sessions.named import NAMES

if TYPE_CHECKING:
    from erllama_daemon.directories import Directories
    from erllama_daemon.messages import Session

EXAMPLES = """\b
Examples:
  erllama sessions export build -o build.md
  erllama sessions export --all -o conversations.json
  erllama sessions export build | ssh elsewhere erllama sessions import -"""
Format = Literal["json", "md"]


def export(
    names: Annotated[list[str] | None, NAMES] = None,
    everything: Annotated[bool, typer.Option("--all", help="Take all conversations.")] = False,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Where to write it; - is standard output.")
    ] = STREAM,
    kind: Annotated[
        Format | None,
        typer.Option(
            "--format", help="JSON for erllama sessions import, or Markdown to read; by default as FILE ends."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Put conversations into a file, as JSON or as Markdown.

    Markdown is there to be read. JSON holds everything, the turns too that a conversation went back from, and the
    tokens: a machine with the same model goes on exactly. What is in the cache stays there: erllama cache export takes
    it along. The file is as private as the conversations.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.results.sessions import ExportedSessions
        from erllama_daemon.directories import user_directories

        _check(names or [], output, everything=everything, force=force, as_json=as_json)
        chosen: Format = kind or ("md" if Path(output).suffix.lower() in (".md", ".markdown") else "json")
        directories = user_directories()
        ids = _ids(names or [], directories)
        data = _markdown(ids, quiet=quiet) if chosen == "md" else _json(ids, directories)
        _write(data, output)
        if as_json:
            print_json(ExportedSessions(path=output, format=chosen, sessions=ids, bytes=len(data)))
        elif not quiet and output != STREAM:
            print(f"exported: {counted(len(ids), 'conversation')}, {readable_bytes(len(data))}")


def _check(names: Sequence[str], output: str, *, everything: bool, force: bool, as_json: bool) -> None:
    from erllama_daemon.errors import RequestInvalid

    if everything == bool(names):
        raise RequestInvalid(reason="say which conversations to export: either their names or --all")
    if output == STREAM and as_json:
        raise RequestInvalid(reason="standard output cannot take both the conversations and --json")
    if output != STREAM and not force and os.path.lexists(output) and not _is_stream(output):
        raise RequestInvalid(reason=f"{output} exists; --force replaces it")


def _ids(names: Sequence[str], directories: Directories) -> list[str]:
    """The conversations of these names, all without one. Raises SessionUnknown and SessionAmbiguous."""
    from erllama_daemon.sessions.chats import find_chat, read_chats

    chats = read_chats(directories.sessions)
    found = [find_chat(chats, name) for name in names] if names else chats
    return [*dict.fromkeys(chat.id for chat in found)]


def _json(ids: Sequence[str], directories: Directories) -> bytes:
    import msgspec

    from erllama_cli.sessions.portable import Conversations
    from erllama_daemon.sessions.transcript import read_transcript

    transcripts = [read_transcript(directories.sessions, each) for each in ids]
    return msgspec.json.encode(Conversations(conversations=transcripts)) + b"\n"


def _markdown(ids: Sequence[str], *, quiet: bool) -> bytes:
    from erllama_cli.launcher import running_daemon
    from erllama_cli.sessions.markdown import as_markdown
    from erllama_daemon.directories import user_directories

    client = running_daemon(user_directories(), quiet=quiet)

    def text(session: Session) -> str:
        return as_markdown(session, client.turns(session))

    return "\n".join(text(client.session(each)) for each in ids).encode()


def _write(data: bytes, output: str) -> None:
    """Raises ExportUnwritable; then what was there is there still."""
    from erllama_cache.disk.atomic import write_atomically
    from erllama_daemon.errors import ExportUnwritable

    if output == STREAM:
        write_whole_text(data.decode())
        return
    try:
        if _is_stream(output):
            Path(output).write_bytes(data)
        else:
            write_atomically(Path(os.path.realpath(output)), [data])  # a link stays one
    except OSError as error:
        raise ExportUnwritable(path=output, reason=error.strerror or error) from error


def _is_stream(output: str) -> bool:
    """Whether it is a pipe or a device, whose name is to stay."""
    try:
        mode = Path(output).stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)
