"""What the user sees while nothing is there to read yet: one line on stderr, gone before the answer."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from erllama_cli.drawing.screen import can_draw
from erllama_cli.output import counted
from erllama_daemon.messages import Loading, Prefilling, Queued, Summarizing

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


DELAY_S = 0.5
"""What is over sooner is not worth drawing."""

_BAR_COLUMNS = 20


class Timer(Protocol):
    """As `threading.Timer`."""

    def start(self) -> None:
        """Have it run out after its time."""

    def cancel(self) -> None:
        """It never does."""


class Waiting:
    """Draws what an answer waits for, once that has lasted half a second.

    Draws nothing unless `shown` and stderr is a terminal.
    """

    def __init__(self, *, shown: bool, timer: Callable[[float, Callable[[], None]], Timer] | None = None) -> None:
        self._shown = shown and can_draw(sys.stderr)
        self._new_timer = timer or _daemon_timer
        self._timer: Timer | None = None
        self._lock = threading.Lock()
        self._stage: _Stage | None = None
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def show(self, event: Loading | Queued | Prefilling | Summarizing) -> None:
        """Draw how far it has come."""
        if not self._shown:
            return
        with self._lock:
            self._stage = _stage(event)
            if self._progress is not None:
                self._draw(self._progress, self._stage)
            elif self._timer is None:
                self._timer = self._new_timer(DELAY_S, self._appear)
                self._timer.start()

    def clear(self) -> None:
        """Leave no trace. May be called at any time, and again."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._progress is not None:
                self._progress.stop()
            self._stage = self._timer = self._progress = self._task = None

    def _appear(self) -> None:
        progress = _drawing()  # which imports: the answer does not wait for that
        with self._lock:
            if self._stage is not None:
                self._progress = progress
                progress.start()
                self._draw(progress, self._stage)

    def _draw(self, progress: Progress, stage: _Stage) -> None:
        if self._task is None:
            self._task = progress.add_task(stage.text, total=stage.total, percent=stage.percent)
        progress.update(
            self._task, description=stage.text, completed=stage.done, total=stage.total, percent=stage.percent
        )


@dataclass(frozen=True)
class _Stage:
    """What is waited for; `done` of `total`, if anybody knows how much there is."""

    text: str
    done: float = 0.0
    total: float | None = None

    @property
    def percent(self) -> str:
        return f"{self.done / self.total:.0%}".replace("%", " %") if self.total else ""


def _stage(event: Loading | Queued | Prefilling | Summarizing) -> _Stage:
    match event:
        case Loading():
            return _Stage(f"loading {event.model}", event.progress, 1.0 if event.progress > 0 else None)
        case Queued():
            others = "1 other" if event.ahead == 1 else f"{event.ahead:,} others"
            return _Stage(f"waiting behind {others}" if event.ahead else "waiting")
        case Summarizing():
            oldest = counted(event.messages, "message") if event.messages > 1 else "message"
            return _Stage(f"the conversation is full: summarizing its oldest {oldest}…")
    new, left = event.total - event.cached, event.total - event.done
    cached = f" ({event.cached:,} from the cache)" if event.cached else ""
    remaining = f", {left:,} left" if left < new else ""
    return _Stage(f"reading {counted(new, 'token')}{remaining}{cached}", new - left, new)


class Bar:
    """Long work of a command that asks no model; a context manager.

    Draws nothing unless `shown` and stderr is a terminal, and leaves no trace.
    """

    def __init__(self, text: str, *, shown: bool) -> None:
        self._text = text
        self._shown = shown and sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, done: int, total: int) -> None:
        """Draw how much is done of it, in whatever unit."""
        if not self._shown:
            return
        if self._progress is None or self._task is None:
            self._progress = _drawing()
            self._progress.start()
            self._task = self._progress.add_task(self._text, percent="")
        self._progress.update(self._task, completed=done, total=total)


def _daemon_timer(delay_s: float, act: Callable[[], None]) -> Timer:
    timer = threading.Timer(delay_s, act)
    timer.daemon = True
    return timer


def _drawing() -> Progress:
    # Imported here: an answer from the cache needs no progress, and should not wait for its import.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=_BAR_COLUMNS),
        TextColumn("{task.fields[percent]}", markup=False),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
