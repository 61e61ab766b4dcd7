"""Files that go into a question, and the conversation in a file."""

from __future__ import annotations

import base64
import os
import shlex
import sys
from pathlib import Path

import msgspec

from erllama_cache.disk.atomic import write_atomically
from erllama_cli.conversation.conversation import Conversation
from erllama_cli.files import read_text_file
from erllama_cli.output import counted, readable_bytes
from erllama_cli.question import valid_text
from erllama_cli.sessions.markdown import as_markdown
from erllama_cli.talk.question import AttachedFile
from erllama_cli.talk.registry import ChatCommand
from erllama_cli.talk.told import tell
from erllama_cli.talk.window import Window
from erllama_daemon.errors import (
    DocumentUnreadable,
    ExportUnwritable,
    FileThere,
    NoClipboard,
    NothingSaid,
    RequestInvalid,
)

FILE_LIMIT = 16 << 20
"""Bytes: more than any context holds."""

_NONE = "off"


def file(window: Window, argument: str) -> None:
    """Have a file's text go before the next question."""
    if argument == _NONE:
        window.files = []
    elif argument:
        path = typed_path(argument)
        text = read_text_file(str(path), FILE_LIMIT, DocumentUnreadable)
        if not text.strip():
            raise DocumentUnreadable(reason=f"{path} is empty")
        window.files = [other for other in window.files if other.path != str(path)]
        window.files.append(AttachedFile(str(path), text))
    if not window.files:
        tell("No file goes with your next message.")
    tell_files(window)


def tell_files(window: Window) -> None:
    """Show which files go before the next question."""
    for attached in window.files:
        size = readable_bytes(len(attached.text.encode()))
        lines = counted(len(attached.text.splitlines()), "line")
        tell(f"{attached.path} goes with your next message: {size}, {lines}.")


def copy(window: Window, _argument: str) -> None:
    """Hand the last answer to the terminal's clipboard."""
    answer = next(
        (said.text for said in reversed(window.conversation.session.messages) if said.role == "assistant"), None
    )
    if answer is None:
        raise NothingSaid
    terminal = os.environ.get("TERM", "dumb")
    if terminal in ("", "dumb", "linux"):
        raise NoClipboard(terminal=terminal or "dumb")
    sys.stderr.write(f"\x1b]52;c;{base64.b64encode(answer.encode()).decode()}\x07")
    tell(f"The last answer, {counted(len(answer), 'character')}, was handed to the terminal's clipboard (OSC 52).")


def save(window: Window, argument: str) -> None:
    """Write the conversation to a new file."""
    _save(window, argument, over=False)


def save_over(window: Window, argument: str) -> None:
    """Write the conversation to a file, in the place of what is there."""
    _save(window, argument, over=True)


def typed_path(text: str) -> Path:
    """A path as people type it, or drop it onto a terminal: with quotes or backslashes, and `~`."""
    path = Path(valid_text(text, "the path"))
    if "\0" not in text and not path.exists():
        try:
            words = shlex.split(text)
        except ValueError:
            words = []
        if len(words) == 1:
            path = Path(words[0])
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _save(window: Window, argument: str, *, over: bool) -> None:
    window.way()
    conversation, path = window.conversation, typed_path(argument)
    if path.is_dir():
        raise ExportUnwritable(path=argument, reason="it is a folder")
    if not over and os.path.lexists(path):
        raise FileThere(path=argument)
    is_json = path.suffix.lower() == ".json"
    data = _portable(conversation) if is_json else as_markdown(conversation.session, conversation.turns()).encode()
    try:
        write_atomically(path, [data])
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ExportUnwritable(path=argument, reason=reason.lower()) from error
    size = f"{counted(conversation.session.turns, 'turn')}, {readable_bytes(len(data))}"
    tell(f"{argument} holds the conversation: {size}.")


def _portable(conversation: Conversation) -> bytes:
    """What `erllama sessions import` takes."""
    if conversation.session.private:
        raise RequestInvalid(reason="a private conversation is not taken elsewhere; Markdown can be made of it")
    # Imported here: they open databases, and who only asks should not wait for that.
    from erllama_cli.sessions.portable import Conversations
    from erllama_daemon.sessions.transcript import read_transcript

    transcript = read_transcript(conversation.directories.sessions, conversation.session.id)
    return msgspec.json.encode(Conversations(conversations=[transcript])) + b"\n"


COMMANDS = (
    ChatCommand(
        "file",
        "[PATH|off]",
        "Put a text file before your next message.",
        file,
        "file",
        details="Several files go in the order in which they were given; `off` takes them all back.",
    ),
    ChatCommand("copy", "", "Put the last answer into the clipboard.", copy),
    ChatCommand(
        "save",
        "FILE",
        "Write the conversation to a new file.",
        save,
        "file",
        details="It is Markdown to read or, if FILE ends in .json, JSON that `erllama sessions import` takes.",
    ),
    ChatCommand("save!", "FILE", "The same, over a file that is there.", save_over, "file"),
)
