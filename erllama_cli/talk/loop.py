"""A conversation with somebody at a terminal. All but the answers goes to stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

from erllama_cli.conversation.conversation import Conversation
from erllama_cli.output import counted
from erllama_cli.sessions.named import resume_command
from erllama_cli.talk.commands import COMMANDS
from erllama_cli.talk.file_commands import tell_files
from erllama_cli.talk.keyboard import unseen_keys
from erllama_cli.talk.line_reader import LineReader, new_line_reader
from erllama_cli.talk.question import AttachedFile
from erllama_cli.talk.told import tell, tell_messages
from erllama_cli.talk.window import Window
from erllama_daemon.messages import Session


def talk(conversation: Conversation, *, resumed: bool, files: Sequence[AttachedFile] = ()) -> None:
    """Ask and answer until the user leaves with Ctrl-D or /exit. `files` go before the first question.

    Ctrl-C during an answer stops it, at the prompt it clears the line. A turn or a command that fails is told, and the
    conversation goes on.
    """
    conversation.display = conversation.display.but(in_chat=True)
    window = Window(conversation=conversation, files=list(files))
    reader = new_line_reader(window)
    window.edits = reader.edits
    is_told = sys.stderr.isatty() and not conversation.display.quiet
    if is_told:
        _show_resumed(conversation.session) if resumed else _show_new(conversation.session)
        tell_files(window)
    with contextlib.closing(reader), unseen_keys() if reader.edits else contextlib.nullcontext():
        while not window.is_left and (line := _read(reader, window)) is not None:
            _take(window, line)
    session = conversation.session
    is_begun = resumed or conversation.last is not None or session.turn or session.unanswered
    if is_begun and is_told and not session.private:
        tell(f"Resume with: {resume_command(session)}")


def _read(reader: LineReader, window: Window) -> str | None:
    """What the user typed; nothing after Ctrl-C, None when they leave."""
    draft, window.draft = window.draft, ""
    try:
        return reader.read(draft).strip("\n")
    except KeyboardInterrupt:
        tell("")
        return ""
    except EOFError:
        tell("")
        return None


def _take(window: Window, line: str) -> None:
    edited, window.edited = window.edited, None
    if not line.strip():
        if edited is not None:
            tell("All is left as it was.")
        return
    with window.told_failures():
        window.settle()
        if line.startswith("/") and not line.startswith("//"):
            COMMANDS.run(window, line)
            return
        window.send(line[1:] if line.startswith("//") else line, edited)


def _show_new(session: Session) -> None:
    private = ", private: nothing is kept" if session.private else ""
    tell(f"A conversation with {session.model}{private}. Ctrl-C stops an answer, Ctrl-D leaves, /help says more.")


def _show_resumed(session: Session) -> None:
    count = len(session.messages)
    tell(f"{session.called} ({session.model}, {counted(count, 'message')})")
    tell_messages(session.messages[-2:])
    if session.unanswered is not None:
        tell(f"Not answered yet: {session.unanswered.text.strip()}  (/retry asks it again)")
    tell("")
