"""Draws an answer while it comes."""

from __future__ import annotations

import sys
from contextlib import closing

from erllama_cli.client import AnswerEvent, Client
from erllama_cli.options import DisplayOptions
from erllama_cli.output import print_json, write_text
from erllama_cli.progress import Waiting
from erllama_cli.thoughts import Thoughts
from erllama_daemon.errors import AnswerCutOff, OutputFailed
from erllama_daemon.messages import (
    CompleteRequest,
    Done,
    Loading,
    Prefilling,
    Queued,
    Stats,
    Thinking,
    Token,
)


def print_answer(client: Client, request: CompleteRequest, display: DisplayOptions) -> Stats:
    """Ask, and write the answer to stdout token by token, unless it is to be printed as JSON.

    Whatever ends this early (Ctrl-C, a closed pipe) hangs up, which cancels the request. Raises what
    `Client.complete` raises; what came before stays on the screen, on lines of its own.
    """
    drawing = _Drawing(display)
    try:
        with closing(client.complete(request)) as events:
            for event in events:
                if not isinstance(event, Done):
                    drawing.show(event)
                elif event.stats.cancelled:
                    raise AnswerCutOff  # by somebody else: who hangs up hears no more
                else:
                    return event.stats
        raise AssertionError("an answer ends with Done or raises")
    finally:
        interrupted = isinstance(sys.exception(), KeyboardInterrupt | BrokenPipeError | OutputFailed)
        drawing.end(interrupted=interrupted)


def print_result(stats: Stats, display: DisplayOptions) -> None:
    """What there is to say after an answer: everything as JSON, or what the user should know besides the text."""
    if display.as_json:
        print_json(stats)
    elif not display.quiet and sys.stderr.isatty():
        for notice in _notices(stats):
            print(f"[{notice}]", file=sys.stderr)


class _Drawing:
    """The parts of an answer, each where it belongs."""

    def __init__(self, display: DisplayOptions) -> None:
        self._text_shown = not display.as_json
        self._waiting = Waiting(shown=not (display.as_json or display.quiet))
        wanted = sys.stderr.isatty() and not display.quiet if display.thinking is None else display.thinking
        self._thoughts = Thoughts(shown=wanted and not display.as_json)
        self._last = "\n"

    def show(self, event: AnswerEvent) -> None:
        """Draw what came, and take away what it replaces."""
        match event:
            case Loading() | Queued() | Prefilling():
                self._waiting.show(event)
            case Thinking(text) if text:
                self._waiting.clear()
                self._thoughts.show(text)
            case Token(text) if text and self._text_shown:
                self._waiting.clear()
                self._thoughts.end()
                self._last = text
                write_text(text)

    def end(self, *, interrupted: bool) -> None:
        """Leave the cursor at the start of a line, unless nobody is there to see it."""
        self._waiting.clear()
        if interrupted:
            return
        self._thoughts.end()
        if not self._last.endswith("\n"):
            write_text("\n")


def _notices(stats: Stats) -> list[str]:
    notices = []
    if stats.dropped_messages:
        count = stats.dropped_messages
        oldest = "message was" if count == 1 else f"{count:,} messages were"
        notices.append(f"the oldest {oldest} left out to make room")
    if stats.finish_reason == "length":
        notices.append(f"cut off after {stats.completion_tokens:,} tokens; see --max-tokens")
    if stats.cache_note is not None:
        notices.append(f"{stats.cache_note}: {stats.prompt_tokens - stats.cached_tokens:,} tokens were read again")
    if stats.saved == "dropped":
        notices.append("the cache took no more: what comes next will be read again")
    return notices
