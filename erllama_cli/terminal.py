"""A conversation with somebody at a terminal. All but the answers goes to stderr."""

from __future__ import annotations

import sys

from erllama_cache.errors import ErllamaError
from erllama_cli.conversation import Conversation
from erllama_cli.failures import failure_of, print_failure
from erllama_cli.output import dimmed
from erllama_daemon.messages import Message, Session

PROMPT = ">>> "


def talk(conversation: Conversation, *, resumed: bool) -> None:
    """Ask and answer until the user leaves with Ctrl-D.

    Ctrl-C during an answer stops it, at the prompt it clears the line. A turn that fails is told, and the
    conversation goes on.
    """
    if not conversation.display.quiet:
        _show_resumed(conversation.session) if resumed else _show_new(conversation.session)
    resumable = resumed
    while (line := _read_line()) is not None:
        if line.strip():
            resumable = True
            _take_turn(conversation, line)
    if resumable and not (conversation.display.quiet or conversation.session.private):
        _tell(f"Resume with: erllama chat --session {conversation.session.id}")


def _take_turn(conversation: Conversation, line: str) -> None:
    try:
        conversation.ask(Message("user", [line]))
    except KeyboardInterrupt:
        print()
    except ErllamaError as error:
        print_failure(failure_of(error))
    if not conversation.display.as_json:
        print(flush=True)


def _read_line() -> str | None:
    """One line of the user's, or None when they leave."""
    while True:
        try:
            return _prompted()
        except KeyboardInterrupt:
            _tell("")
        except EOFError:
            _tell("")
            return None


def _prompted() -> str:
    if not sys.stdout.isatty():
        print(PROMPT, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")
    import readline  # gives `input` its line editing

    readline.set_auto_history(True)
    return input(PROMPT)


def _show_new(session: Session) -> None:
    private = ", private: nothing is kept" if session.private else ""
    _tell(f"A conversation with {session.model}{private}. Ctrl-C stops an answer, Ctrl-D leaves.")


def _show_resumed(session: Session) -> None:
    count = len(session.messages)
    _tell(f"{session.title or session.id}: {session.model}, {count} message{'' if count == 1 else 's'}")
    for message in session.messages[-2:]:
        mark = PROMPT if message.role == "user" else ""
        _tell(dimmed(f"{mark}{message.text.strip()}"))
    if session.unanswered is not None:
        _tell(f"Not answered yet: {session.unanswered.text.strip()}")
    _tell("")


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
