"""`erllama cache export`: chains, and the conversations whose chains they are, in one file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from erllama_cli import options
from erllama_cli.cache.names import Names, find_named
from erllama_cli.failures import reported_failures
from erllama_cli.files import STREAM
from erllama_cli.output import counted, print_json, readable_bytes

if TYPE_CHECKING:
    from erllama_cache.tending.survey import Survey
    from erllama_cli.drawing.progress import Bar
    from erllama_cli.results.cache import ExportReport
    from erllama_daemon.directories import Directories
    from erllama_daemon.sessions.transcript import Transcript

EXAMPLES = """\b
Examples:
  erllama cache export 3f2a -o llamas.tar
  erllama cache export 3f2a -o - | ssh elsewhere erllama cache import -"""


Output = Annotated[
    str, typer.Option("-o", "--output", metavar="FILE", help="Where to write it; - is standard output, if no terminal.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")]


class _Cargo(NamedTuple):
    """What is to be taken along."""

    found: Survey
    keys: list[bytes]
    transcripts: list[Transcript]


def export(
    names: Names,
    output: Output,
    force: Force = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Put chains into a file, to go on with them on another machine.

    Take them in there with `erllama cache import`. A conversation goes with its messages, its tokens and, as far as
    it is in the cache, its state. The file is as private as the conversation.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.cache.this_machine import directories_here
        from erllama_cli.drawing.progress import Bar

        _check_output(output, force=force, as_json=as_json)
        directories = directories_here()
        cargo = _gather(names, directories)
        with Bar("exporting blocks", shown=not quiet) as bar:
            report = _write(cargo, output, directories.cache, bar)
        if as_json:
            print_json(report)
        elif not quiet and output != STREAM:
            chats = f"{counted(len(report.chats), 'conversation')}, " if report.chats else ""
            print(f"exported: {chats}{counted(report.blocks, 'block')}, {readable_bytes(report.bytes)}")


def _check_output(output: str, *, force: bool, as_json: bool) -> None:
    from erllama_daemon.errors import RequestInvalid

    if output == STREAM and as_json:
        raise RequestInvalid(reason="standard output cannot take both the archive and --json")
    if output == STREAM and sys.stdout.isatty():
        raise RequestInvalid(reason="an archive is nothing for a terminal; name a file")
    if output != STREAM and not force and os.path.lexists(output):
        raise RequestInvalid(reason=f"{output} exists; --force replaces it")


def _gather(names: Sequence[str], directories: Directories) -> _Cargo:
    from erllama_cache.tending.survey import survey
    from erllama_daemon.sessions.chats import read_chats
    from erllama_daemon.sessions.transcript import read_transcript

    found, chats = survey(directories.cache), read_chats(directories.sessions)
    keys: list[bytes] = []
    transcripts: dict[str, Transcript] = {}
    for name in names:
        named = find_named(name, chats, found.rows.keys())
        if isinstance(named, bytes):
            keys.append(named)
            continue
        transcripts[named.id] = read_transcript(directories.sessions, named.id)
        if (last := found.last_of(named.keys)) is not None:
            keys.append(last)
    return _Cargo(found=found, keys=[*dict.fromkeys(keys)], transcripts=[*transcripts.values()])


def _write(cargo: _Cargo, output: str, cache: Path, bar: Bar) -> ExportReport:
    import msgspec

    from erllama_cache.tending.archive import export_chains, write_chains
    from erllama_cli.results.cache import ExportReport

    chat = msgspec.Raw(msgspec.json.encode(cargo.transcripts))
    if output == STREAM:
        stream = sys.stdout.buffer
        manifest = write_chains(cache, cargo.found, cargo.keys, stream, chat=chat, on_progress=bar.show)
        stream.flush()
    else:
        target = Path(os.path.realpath(output))  # a link stays one
        manifest = export_chains(cache, cargo.found, cargo.keys, target, chat=chat, on_progress=bar.show)
    return ExportReport(
        path=output,
        chats=[transcript.id for transcript in cargo.transcripts],
        keys=manifest.keys,
        blocks=len(manifest.blocks),
        bytes=sum(cargo.found.rows[bytes.fromhex(key)].file_bytes for key in manifest.blocks),
    )
