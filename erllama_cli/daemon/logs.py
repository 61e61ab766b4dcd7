"""`erllama daemon logs`: what the daemon says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures

if TYPE_CHECKING:
    from pathlib import Path

    from erllama_daemon.directories import Directories

EXAMPLES = """\b
Examples:
  erllama daemon logs
  erllama daemon logs -f
  erllama daemon logs -n 500 | grep started"""


def logs(
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, metavar="N", help="Begin with the last N lines.")] = 20,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Print the last lines of the daemon's log.

    Needs no daemon. One that systemd started logs to the journal: journalctl --user -u erllama
    """
    with reported_failures(as_json=as_json, debug=debug):
        from contextlib import closing

        from erllama_cli.daemon.log_file import LogFile
        from erllama_cli.output import print_json
        from erllama_cli.results.daemon import Log
        from erllama_daemon.directories import user_directories
        from erllama_daemon.errors import LogMissing, LogUnreadable, RequestInvalid

        if as_json and follow:
            raise RequestInvalid(reason="--json prints one object, and --follow never ends")
        path = _path(user_directories())
        if not (follow or path.is_file()):
            raise LogMissing(log=path)
        with closing(LogFile(path)) as log:
            try:
                log.open()
                found = log.last_lines(lines)
            except OSError as error:
                raise LogUnreadable(log=path, reason=(error.strerror or str(error)).lower()) from error
            if as_json:
                print_json(Log(str(path), [line.decode(errors="replace") for line in found]))
                return
            _write(b"".join(line + b"\n" for line in found))
            for new in log.new_bytes() if follow else ():
                _write(new)


def _path(directories: Directories) -> Path:
    """The file that the daemon logs to, or did. Raises LogInJournal, LogOnTerminal and LogElsewhere."""
    from pathlib import Path

    from erllama_cache.errors import ErllamaError
    from erllama_cli.client import Client
    from erllama_daemon.errors import LogElsewhere, LogInJournal, LogOnTerminal

    if directories.given_socket is not None:
        raise LogElsewhere
    try:
        status = Client(directories).status()
    except ErllamaError:  # the log is there to say why
        return directories.daemon_log
    if status is not None and status.log is None:
        if status.started_by == "systemd":
            raise LogInJournal(pid=status.pid)
        if status.started_by == "foreground":
            raise LogOnTerminal(pid=status.pid)
    return directories.daemon_log if status is None or status.log is None else Path(status.log)


def _write(text: bytes) -> None:
    """Lines of the log to stdout at once; a terminal obeys nothing of them."""
    import sys

    from erllama_cli.drawing.printable import printable
    from erllama_cli.output import write_text

    written = text.decode(errors="replace")
    write_text(printable(written) if sys.stdout is not None and sys.stdout.isatty() else written)
