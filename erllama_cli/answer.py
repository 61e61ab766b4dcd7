"""Draws an answer while it comes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TextIO

from erllama_cli.client import AnswerEvent, Client
from erllama_cli.drawing.answer_text import AnswerText, answer_text
from erllama_cli.drawing.progress import Waiting
from erllama_cli.drawing.thoughts import thoughts
from erllama_cli.options import DisplayOptions
from erllama_cli.output import counted, dimmed, print_json
from erllama_daemon.errors import AnswerCutOff, OutputFailed
from erllama_daemon.messages import (
    CompleteRequest,
    Done,
    Loading,
    Prefilling,
    Queued,
    Stats,
    Summarizing,
    Thinking,
    Token,
)


def print_answer(client: Client, request: CompleteRequest, display: DisplayOptions) -> Stats:
    """Ask, and draw the answer on stdout as it comes, unless it is to be printed as JSON.

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
        drawing.end(sys.exception())


def print_result(stats: Stats, display: DisplayOptions) -> None:
    """What there is to say after an answer: everything as JSON, or what the user should know besides the text."""
    if display.as_json:
        print_json(stats)
    elif not display.quiet and sys.stderr.isatty():
        for notice in _notices(stats):
            print(f"[{notice}]", file=sys.stderr)
        if display.stats:
            print(dimmed(stats_line(stats)), file=sys.stderr)


def stats_line(stats: Stats) -> str:
    """What an answer took, on one line."""
    rate = f", {1000 * stats.completion_tokens / stats.generation_ms:.1f} tok/s" if stats.generation_ms else ""
    used = stats.prompt_tokens + stats.completion_tokens
    parts = [
        f"{counted(stats.completion_tokens, 'token')}{rate}",
        f"{stats.cached_tokens:,} of {counted(stats.prompt_tokens, 'prompt token')} from the cache",
        f"first token after {stats.ttft_ms / 1000:.2f} s",
    ]
    if stats.context_size:
        parts.append(f"{used:,} of {counted(stats.context_size, 'token')} of context")
    return "; ".join(parts)


class _Drawing:
    """The parts of an answer, each where it belongs."""

    def __init__(self, display: DisplayOptions) -> None:
        self._display = display
        self._waiting = Waiting(shown=not (display.as_json or display.quiet))
        self._thoughts = thoughts(display)
        self._text: AnswerText | None = None

    def show(self, event: AnswerEvent) -> None:
        """Draw what came, and take away what it replaces."""
        match event:
            case Loading() | Queued() | Prefilling() | Summarizing():
                self._waiting.show(event)
            case Thinking(text) if text:
                self._waiting.clear()
                self._end_text()
                self._thoughts.show(text)
            case Token(text) if text and not self._display.as_json:
                self._waiting.clear()
                self._thoughts.end()
                if self._text is None:
                    self._text = answer_text(markdown=self._display.markdown)
                self._text.show(text)

    def end(self, failure: BaseException | None) -> None:
        """Leave the cursor at the start of a line, unless nobody is there to see it."""
        is_unseen = isinstance(failure, BrokenPipeError | OutputFailed)
        ends_lines = not (is_unseen or isinstance(failure, KeyboardInterrupt))
        with _uninterrupted():
            try:
                self._waiting.clear()
                if ends_lines or _is_terminal(sys.stderr):
                    self._thoughts.end()
            finally:
                if ends_lines or (_is_terminal(sys.stdout) and not is_unseen):
                    self._end_text()

    def _end_text(self) -> None:
        if self._text is not None:
            self._text.end()
            self._text = None


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Another Ctrl-C does not leave the terminal half drawn, with its cursor hidden."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _notices(stats: Stats) -> list[str]:
    notices = []
    if stats.dropped_messages:
        count = stats.dropped_messages
        oldest = "message" if count == 1 else f"{count:,} messages"
        if stats.summary is not None:
            notices.append(f"a summary took the place of the oldest {oldest} to make room")
        else:
            notices.append(f"the oldest {oldest} {'was' if count == 1 else 'were'} left out to make room")
    if stats.finish_reason == "length":
        notices.append(f"cut off after {stats.completion_tokens:,} tokens; see --max-tokens")
    if stats.cache_note is not None:
        notices.append(f"{stats.cache_note}: {stats.prompt_tokens - stats.cached_tokens:,} tokens were read again")
    if stats.saved == "dropped":
        notices.append("the cache took no more: what comes next will be read again")
    return notices
