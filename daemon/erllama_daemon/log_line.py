"""A line of the log: one event, whatever is in it."""

from __future__ import annotations

import logging
import re
from datetime import datetime

_PLAIN = re.compile(r"[^\s\"'=\\]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

JOURNAL_LEVELS = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""What sd-daemon(3) calls the levels."""


def facts(**values: object) -> str:
    """What is to be said of an event, as `name=value …`; what is None is left out. Milliseconds are rounded.

    A text that could be taken for more than one word stands in double quotes.
    """
    return " ".join(f"{name}={_written(value)}" for name, value in values.items() if value is not None)


class OneLine(logging.Formatter):
    """Writes a record on one line: line breaks and control characters in it, a traceback's too, are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        return _UNPRINTABLE.sub(_escaped, super().format(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        del datefmt
        return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


class JournalLine(OneLine):
    """As `OneLine`, for systemd's journal: the level as it reads it, and no time, for it has one."""

    def format(self, record: logging.LogRecord) -> str:
        return f"<{JOURNAL_LEVELS.get(record.levelno, 6)}>{super().format(record)}"


def dated_lines() -> OneLine:
    """Lines that begin with the time and the level."""
    return OneLine("%(asctime)s %(levelname)s %(message)s")


def worker_lines() -> OneLine:
    """Lines as a worker prints them and the daemon reads them: the level, and what there is to say."""
    return OneLine("%(levelname)s %(message)s")


def _written(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}"
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "backslashreplace").decode()
