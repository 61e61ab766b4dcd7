"""What the user sees while nothing is there to read yet: one line on stderr, gone before the answer."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from erllama_cli.drawing.screen import can_draw

if TYPE_CHECKING:
    from erllama_cli.drawing.page import Line, Page
    from erllama_cli.drawing.region import Region
    from erllama_daemon.messages import Loading, Prefilling, Queued, Summarizing

DELAY_S = 0.5
"""What is over sooner is not worth drawing."""

_TICK_S = 0.1
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_BAR_COLUMNS = 20


class Clock(Protocol):
    """Ticks as `Ticker` does."""

    def start(self) -> None:
        """Time goes by from now on."""

    def stop(self) -> None:
        """It never ticks again, but for once if it does just now."""


NewClock = Callable[[Callable[[], None]], Clock]


class Stage(NamedTuple):
    """What is waited for, and the share of it that is done, if anybody knows."""

    text: str
    share: float | None = None


class Waiting:
    """Draws what an answer waits for, once that has lasted half a second, and then ten times a second.

    Draws nothing unless `shown` and stderr is a terminal.
    """

    def __init__(self, *, shown: bool, clock: NewClock | None = None) -> None:
        self._shown = shown and can_draw(sys.stderr)
        self._new_clock = clock or _new_clock
        self._clock: Clock | None = None
        self._lock = threading.Lock()
        self._stage: Stage | None = None
        self._ticks = 0
        self._region: Region | None = None

    def show(self, event: Loading | Queued | Prefilling | Summarizing) -> None:
        """Have it drawn how far it has come."""
        if self._shown:
            self.show_stage(_stage(event))

    def show_stage(self, stage: Stage) -> None:
        """As `show`, for what no event tells of."""
        if self._shown:
            with self._lock:
                self._stage = stage
                if self._clock is None:
                    self._clock = self._new_clock(self._draw)
                    self._clock.start()

    def clear(self) -> None:
        """Leave no trace. May be called at any time, and again."""
        with self._lock:
            if self._clock is not None:
                self._clock.stop()
            if self._region is not None:
                self._region.end([])
            self._stage = self._clock = self._region = None

    def _draw(self) -> None:
        # Imported here: an answer from the cache needs no progress, and should not wait for its import.
        from erllama_cli.drawing.page import Page
        from erllama_cli.drawing.region import Region
        from erllama_cli.drawing.screen import may_colour, size_of

        with self._lock:
            if self._stage is None:
                return
            if self._region is None:
                self._region = Region(_write, lambda: size_of(sys.stderr))
            page = Page(size_of(sys.stderr).columns, may_colour())
            self._region.show([], [_line(self._stage, _SPINNER[self._ticks % len(_SPINNER)], page)])
            self._ticks += 1


def _stage(event: Loading | Queued | Prefilling | Summarizing) -> Stage:
    from erllama_cli.one_line import one_line
    from erllama_cli.output import counted
    from erllama_daemon.messages import Loading, Queued, Summarizing

    match event:
        case Loading():
            return Stage(f"loading {one_line(event.model)}", event.progress or None)
        case Queued():
            others = "1 other" if event.ahead == 1 else f"{event.ahead:,} others"
            return Stage(f"waiting behind {others}" if event.ahead else "waiting")
        case Summarizing():
            oldest = counted(event.messages, "message") if event.messages > 1 else "message"
            return Stage(f"the conversation is full: summarizing its oldest {oldest}…")
    new, left = event.total - event.cached, event.total - event.done
    cached = f" ({event.cached:,} from the cache)" if event.cached else ""
    remaining = f", {left:,} left" if left < new else ""
    return Stage(f"reading {counted(new, 'token')}{remaining}{cached}", (new - left) / new if new else None)


def _line(stage: Stage, spinner: str, page: Page) -> Line:
    """As much of it as fits: the bar gives way first."""
    from erllama_cli.drawing.page import Span
    from erllama_cli.one_line import columns, cut

    text = f"{spinner} {stage.text}"
    if stage.share is None:
        return page.line([Span(cut(text, page.width))])
    percent = f" {stage.share:.0%}".replace("%", " %")
    room = page.width - len(percent)
    filled = round(stage.share * _BAR_COLUMNS)
    bar = [Span(" "), Span("━" * filled, "36"), Span("─" * (_BAR_COLUMNS - filled), "2")]
    has_bar = columns(text) + 1 + _BAR_COLUMNS <= room
    return page.line([Span(cut(text, room - 1)), *(bar if has_bar else []), Span(percent)])


def _new_clock(tick: Callable[[], None]) -> Clock:
    from erllama_cli.drawing.painter import Ticker

    return Ticker(tick, delay_s=DELAY_S, pause_s=_TICK_S)


def _write(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


class Bar:
    """Long work of a command that asks no model; a context manager. Drawn as `Waiting` is, and leaves no trace."""

    def __init__(self, text: str, *, shown: bool, clock: NewClock | None = None) -> None:
        self._text = text
        self._waiting = Waiting(shown=shown, clock=clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.clear()

    def show(self, done: int, total: int) -> None:
        """Draw how much is done of it, in whatever unit."""
        self._waiting.show_stage(Stage(self._text, done / total if total else None))
