"""Draws an answer while it comes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TextIO

from erllama_cli.client import AnswerEvent, Client
from erllama_cli.drawing.answer_text import AnswerText, answer_text
from erllama_cli.drawing.progress import Stage, Waiting
from erllama_cli.drawing.thoughts import thoughts
from erllama_cli.figures import notices, stats_line
from erllama_cli.options import DisplayOptions
from erllama_cli.output import dimmed, print_json
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
    with closing(client.complete(request)) as events:
        return draw_answer(events, display)


def draw_answer(
    events: Iterable[AnswerEvent], display: DisplayOptions, is_stopped: Callable[[], bool] = lambda: False
) -> Stats:
    """Draw an answer that somebody has asked for. Raises what comes out of `events`.

    `is_stopped` says whether an answer that ends before its time was stopped here; else it raises AnswerCutOff.
    """
    drawing = _Drawing(display)
    try:
        for event in events:
            if not isinstance(event, Done):
                drawing.show(event)
            elif event.stats.cancelled and not is_stopped():
                raise AnswerCutOff  # by somebody else: who hangs up hears no more
            else:
                drawing.show_held()
                return event.stats
        raise AssertionError("an answer ends with Done or raises")
    finally:
        drawing.end(sys.exception())


def print_result(stats: Stats, display: DisplayOptions) -> None:
    """What there is to say after an answer: everything as JSON, or what the user should know besides the text."""
    if display.as_json:
        print_json(stats)
    tell_stats(stats, display)


def tell_stats(stats: Stats, display: DisplayOptions, *, of: str = "") -> None:
    """What the user should know of an answer, on stderr; `of` says of which.

    A terminal is told what is remarkable, and all is told on one line where `display.stats` asks for it.
    """
    if display.quiet:
        return
    told = notices(stats, in_chat=display.in_chat)
    if sys.stderr.isatty():
        for notice in [] if display.as_json else told:
            print(f"[{of}{notice}]", file=sys.stderr)
        told = []
    if display.stats:
        print(dimmed(f"{of}{'; '.join([stats_line(stats), *told])}"), file=sys.stderr, flush=True)


class _Drawing:
    """The parts of an answer, each where it belongs."""

    def __init__(self, display: DisplayOptions) -> None:
        self._display = display
        self._waiting = Waiting(shown=not (display.as_json or display.quiet))
        self._thoughts = thoughts(display)
        self._text: AnswerText | None = None
        self._held: list[str] = []

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
                if self._display.no_stream:
                    self._hold(text)
                else:
                    self._show_text(text)

    def show_held(self) -> None:
        """Draw all that was held back until the answer was complete."""
        if self._held:
            self._show_text("".join(self._held))

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

    def _hold(self, text: str) -> None:
        self._thoughts.end()
        self._waiting.show_stage(Stage("answering"))
        self._held.append(text)

    def _show_text(self, text: str) -> None:
        self._waiting.clear()
        self._thoughts.end()
        if self._text is None:
            self._text = answer_text(markdown=self._display.markdown)
        self._text.show(text)

    def _end_text(self) -> None:
        if self._text is not None:
            if self._display.ends_line:
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
