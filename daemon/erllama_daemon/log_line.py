"""A line of the log: one event, whatever is in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Self

import msgspec

from erllama_daemon.request_id import REQUEST_ID

_PLAIN = re.compile(r"[^\s\"'=\\]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

JOURNAL_LEVELS = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""What sd-daemon(3) calls the levels."""


class Facts(str):
    """What is to be said of an event, as text, and each fact by its name."""

    values: Mapping[str, object]

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Self:
        """The facts of these names."""
        made = cls(" ".join(f"{name}={_written(value)}" for name, value in values.items()))
        made.values = values
        return made


def facts(**values: object) -> Facts:
    """What is to be said of an event, as `name=value …`; what is None is left out. Milliseconds are rounded.

    A text that could be taken for more than one word stands in double quotes.
    """
    return Facts.of({name: value for name, value in values.items() if value is not None})


class OneLine(logging.Formatter):
    """Writes a record on one line: line breaks and control characters in it, a traceback's too, are escaped.

    What belongs to a request ends with its id.
    """

    def format(self, record: logging.LogRecord) -> str:
        return _UNPRINTABLE.sub(_escaped, super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line, request = super().formatMessage(record), REQUEST_ID.get()
        return line if request is None else f"{line} {facts(request=request)}"

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        del datefmt
        return _time(record)


class JournalLine(OneLine):
    """As `OneLine`, for systemd's journal: the level as it reads it, and no time, for it has one."""

    def format(self, record: logging.LogRecord) -> str:
        return f"<{JOURNAL_LEVELS.get(record.levelno, 6)}>{super().format(record)}"


class JsonLine(logging.Formatter):
    """Writes a record as a JSON object on one line: `time`, `level`, `message`, each fact, and `request` for its id.

    A line of a worker is its `text`. With `levels`, the level stands before it as systemd's journal reads it.
    """

    def __init__(self, *, levels: bool = False) -> None:
        super().__init__()
        self._levels = levels

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {"time": _time(record), "level": record.levelname.lower(), **_message(record)}
        if (request := REQUEST_ID.get()) is not None:
            told["request"] = request
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        line = msgspec.json.encode(told).decode()
        return f"<{JOURNAL_LEVELS.get(record.levelno, 6)}>{line}" if self._levels else line


def dated_lines() -> OneLine:
    """Lines that begin with the time and the level."""
    return OneLine("%(asctime)s %(levelname)s %(message)s")


def worker_lines() -> OneLine:
    """Lines as a worker prints them and the daemon reads them: the level, and what there is to say."""
    return OneLine("%(levelname)s %(message)s")


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def _message(record: logging.LogRecord) -> dict[str, object]:
    """What the record says, its facts apart if it has any."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    told = next((each for each in arguments if isinstance(each, Facts)), None)
    if told is None:
        return {"message": _carriable(record.getMessage())}
    # What a worker says stands behind the facts.
    message, _, text = record.getMessage().partition(f": {told}")
    found = {name: _plain(value) for name, value in told.values.items()}
    said = _carriable(text.removeprefix(": "))
    return {**found, "message": message, **({"text": said} if said else {})}


def _plain(value: object) -> object:
    if isinstance(value, float):
        return round(value)
    return value if isinstance(value, int) else _carriable(str(value))


def _carriable(text: str) -> str:
    """A text that JSON can hold: undecodable bytes of a path are escaped."""
    return text.encode(errors="backslashreplace").decode()


def _written(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}"
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "backslashreplace").decode()
