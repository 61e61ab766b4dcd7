"""What is said beside the answers: all of it on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from erllama_cli.drawing.printable import printable
from erllama_cli.one_line import broken_at_words, columns, cut, line_width, one_line
from erllama_cli.output import counted, dimmed
from erllama_cli.talk.question import typed_part
from erllama_daemon.messages import Message, SessionTurn

PROMPT = ">>> "


def tell(text: str, *, faint: bool = False) -> None:
    """One or more lines for the user, which break between words. Whoever wrote them, they cannot disturb a terminal."""
    wrapped = broken_at_words(printable(text), line_width())
    print(dimmed(wrapped) if faint else wrapped, file=sys.stderr, flush=True)


def tell_messages(messages: Iterable[Message]) -> None:
    """What was said, faint: the user's words after the prompt that they were typed at."""
    for message in messages:
        if message.role == "user":
            files = len(message.parts) - 1
            about = f"[{counted(files, 'file')}] " if files else ""
            tell(f"{PROMPT}{about}{typed_part(message).strip()}", faint=True)
        elif message.role == "system":
            tell(f"[system prompt: {message.text.strip() or 'none'}]", faint=True)
        else:
            tell(message.text.strip(), faint=True)


def tell_columns(rows: Sequence[Sequence[str]]) -> None:
    """Rows whose cells stand under one another, each on one line; the last cell is cut to fit."""
    widths = [max(map(columns, cells)) for cells in list(zip(*rows, strict=True))[:-1]]
    for *cells, last in rows:
        line = "".join(cell + " " * (width - columns(cell) + 2) for cell, width in zip(cells, widths, strict=True))
        tell(line + cut(last, max(line_width() - columns(line) - 1, 20)) if last else line.rstrip())


def first_words(turn: SessionTurn) -> str:
    """How the question of a turn begins."""
    question = next((message for message in reversed(turn.messages) if message.role == "user"), turn.messages[-1])
    return one_line(typed_part(question))
