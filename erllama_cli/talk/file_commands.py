"""Files that go into a question, and the conversation in a file."""

from __future__ import annotations

import base64
import os
import shlex
import sys
from pathlib import Path

import msgspec

from erllama_cli.files import read_text_file
from erllama_cli.output import counted, readable_bytes
from erllama_cli.question import valid_text
from erllama_cli.session_text import as_markdown
from erllama_cli.talk.question import AttachedFile
from erllama_cli.talk.registry import ChatCommand
from erllama_cli.talk.told import tell
from erllama_cli.talk.window import Window
from erllama_daemon.errors import DocumentUnreadable, FileThere, FileUnwritable, NoClipboard, NothingSaid
from erllama_daemon.messages import Session, SessionTurn

FILE_LIMIT = 16 << 20
"""Bytes: more than any context holds."""

_NONE = "off"


class SavedConversation(msgspec.Struct, frozen=True):
    """What /save writes as JSON."""

    session: Session
    turns: list[SessionTurn]


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
    conversation = window.conversation
    window.way()
    turns = conversation.turns()
    path, session = typed_path(argument), conversation.session
    if path.suffix.lower() == ".json":
        text = msgspec.json.format(msgspec.json.encode(SavedConversation(session, turns))).decode() + "\n"
    else:
        text = as_markdown(session, turns)
    try:
        with path.open("w" if over else "x", encoding="utf-8", errors="replace") as saved:
            saved.write(text)
    except FileExistsError:
        raise FileThere(path=argument) from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise FileUnwritable(path=argument, reason=reason.lower()) from error
    tell(f"{path} holds the conversation: {counted(session.turns, 'turn')}, {readable_bytes(len(text.encode()))}.")


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
