"""Where the daemon's log goes: to a file that is rotated, to a terminal, or to systemd's journal."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

from erllama_daemon.config import DaemonConfig
from erllama_daemon.directories import create_private
from erllama_daemon.life.origin import is_journal
from erllama_daemon.log_line import JournalLine, JsonLine, dated_lines
from erllama_daemon.messages import StartedBy


class LogFile(RotatingFileHandler):
    """A file of at most `log_bytes`, 0600 in a 0700 folder, and the `log_files` before it: `daemon.log.1`, ….

    What is printed to this process's standard output and error goes to the current one as well, from whatever code.
    A file that was moved or removed by somebody else, with its folder or without, is replaced by a new one. Raises
    OSError, but not for a line that cannot be written: whoever logs goes on.
    """

    def __init__(self, path: Path, config: DaemonConfig) -> None:
        self._prepare_folder(path.parent)
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.configure(config)

    def configure(self, config: DaemonConfig) -> None:
        """Other limits and another format, from the next line on."""
        self.acquire()
        try:
            self.maxBytes, self.backupCount = int(config.log_bytes), config.log_files
            self.setFormatter(_lines(config))
        finally:
            self.release()

    def reopen(self) -> None:
        """Goes on in the file of that name, a new one if it was moved away."""
        self.acquire()
        try:
            self._close_stream()
            self._prepare_folder(Path(self.baseFilename).parent)
            self.stream = self._open()
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        try:
            if self._is_moved():
                self.reopen()
        except OSError:
            self.handleError(record)
        else:
            super().emit(record)

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        """Puts the file aside and begins a new one; without any to keep, the old one is gone."""
        if self.backupCount <= 0:
            Path(self.baseFilename).unlink(missing_ok=True)
        super().doRollover()
        number = self.backupCount + 1  # more were kept under another configuration
        while (left := Path(f"{self.baseFilename}.{number}")).exists():
            left.unlink()
            number += 1

    def _open(self) -> TextIOWrapper:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.fchmod(handle, 0o600)
        for standard in (1, 2):
            os.dup2(handle, standard)
        return os.fdopen(handle, "a", encoding=self.encoding, errors=self.errors)

    @staticmethod
    def _prepare_folder(folder: Path) -> None:
        create_private(folder)
        folder.chmod(0o700)

    def _is_moved(self) -> bool:
        try:
            there = Path(self.baseFilename).stat()
            return self.stream is None or not os.path.samestat(there, os.fstat(self.stream.fileno()))
        except (OSError, ValueError):
            return True

    def _close_stream(self) -> None:
        if self.stream is not None:
            self.stream.close()


class LogStream(logging.StreamHandler[TextIO]):
    """Standard error, which is a terminal, a file of whoever keeps the daemon, or systemd's journal."""

    def __init__(self, config: DaemonConfig) -> None:
        super().__init__(sys.stderr)
        self.configure(config)

    def configure(self, config: DaemonConfig) -> None:
        """Another format, from the next line on."""
        self.setFormatter(_lines(config, is_journal=is_journal(os.environ)))


def configure_log(config: DaemonConfig) -> None:
    """What has changed of the log takes effect, wherever it goes."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogFile | LogStream):
            handler.configure(config)


def _lines(config: DaemonConfig, *, is_journal: bool = False) -> logging.Formatter:
    if config.log_format == "json":
        return JsonLine(levels=is_journal)
    return JournalLine("%(message)s") if is_journal else dated_lines()


def open_log(by: StartedBy, path: Path, config: DaemonConfig) -> LogFile | None:
    """Begins to log: to `path` in the background, else to standard error. Raises OSError."""
    log = LogFile(path, config) if by == "command" else None
    root = logging.getLogger()
    root.handlers = [log or LogStream(config)]
    root.setLevel(logging.INFO)
    for chatty in ("uvicorn", "asyncio", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    faulthandler.enable()
    return log
