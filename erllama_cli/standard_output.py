"""Standard output, which says what it is when it cannot be written: whoever prints to it need not know."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import NoReturn, TextIO


def tell_lost_output() -> None:
    """From now on, printing raises OutputFailed where it would raise an OSError, or would print nowhere.

    A reader that left stays a BrokenPipeError. Text that the terminal's encoding lacks is replaced: an answer is never
    lost over one character.
    """
    found = sys.stdout
    if found is None:
        sys.stdout = _ClosedOutput()
    elif isinstance(found, io.TextIOWrapper):
        sys.stdout = _StandardOutput(
            found.buffer,
            encoding=found.encoding,
            errors="replace",
            line_buffering=found.line_buffering,
            write_through=found.write_through,
        )
        if found is sys.__stdout__:
            sys.__stdout__ = sys.stdout  # type: ignore[misc]  # where the terminal's width is asked for
        found.detach()  # or what is left of it would close the file


def silence(stream: TextIO) -> None:
    """Let nothing, not even the interpreter's last flush, fail with what is still held back."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _StandardOutput(io.TextIOWrapper):
    def write(self, text: str, /) -> int:
        if text == "":  # typer asks so what kind of stream it is, and hears no error
            return 0
        try:
            return super().write(text)
        except OSError as error:
            self._fail(error)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> NoReturn:
        silence(self)
        if isinstance(error, BrokenPipeError):
            raise error
        from erllama_daemon.errors import OutputFailed

        raise OutputFailed(reason=error.strerror or error) from error


class _ClosedOutput(io.StringIO):
    def write(self, text: str, /) -> int:
        if not text:
            return super().write(text)
        from erllama_daemon.errors import OutputFailed

        raise OutputFailed(reason="standard output is closed")
