"""What goes before a question: files, and what is piped in."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from erllama_cli.files import STREAM, read_text_file
from erllama_daemon.errors import DocumentUnreadable, RequestInvalid

DOCUMENT_BYTES_LIMIT = 64 << 20
"""More than any context holds."""


def read_documents(files: Sequence[str], *, stdin_asked_for: bool = False, stdin_is_taken: bool = False) -> list[str]:
    """The texts of `files` in the order given, then what is piped in, unless a `-` among them is its place.

    Waits for the end of standard input unless that is a terminal, from which is read only if it is asked for, or taken
    for something else. Nothing but white space that is piped in is no document. Raises DocumentUnreadable for a file,
    also an empty one, and RequestInvalid.
    """
    if files.count(STREAM) + stdin_asked_for + stdin_is_taken > 1:
        raise RequestInvalid(reason="standard input can be read only once")
    documents = [_document(file) for file in files]
    if stdin_asked_for or not (stdin_is_taken or STREAM in files or stdin_is_terminal()):
        piped = piped_text()
        documents += [piped] if piped.strip() else []
    return documents


def read_document(file: str) -> str:
    """The text of a file, or of standard input for `-`. Raises DocumentUnreadable."""
    if file != STREAM:
        return read_text_file(file, DOCUMENT_BYTES_LIMIT, DocumentUnreadable)
    try:
        return piped_text()
    except RequestInvalid as error:
        raise DocumentUnreadable(reason=error.details["reason"]) from error


def piped_text() -> str:
    """All of standard input. Raises RequestInvalid if it is not UTF-8, or too long for any context."""
    if sys.stdin is None:
        return ""
    content = sys.stdin.buffer.read(DOCUMENT_BYTES_LIMIT + 1)
    if len(content) > DOCUMENT_BYTES_LIMIT:
        raise RequestInvalid(reason=f"standard input has more than {DOCUMENT_BYTES_LIMIT:,} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        reason = f"standard input is not UTF-8 text (byte {error.start})"
        raise RequestInvalid(reason=reason).with_hint(DocumentUnreadable.hint or "") from error


def stdin_is_terminal() -> bool:
    """Whether somebody would have to type what is read from standard input."""
    return sys.stdin is not None and sys.stdin.isatty()


def _document(file: str) -> str:
    text = read_document(file)
    if not text.strip():
        raise DocumentUnreadable(reason=f"{'standard input' if file == STREAM else file} is empty")
    return text
