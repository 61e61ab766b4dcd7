"""What the user sees while nothing is there to read yet: one line on stderr, gone before the answer."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from erllama_daemon.messages import Loading, Prefilling, Queued

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Waiting:
    """Draws loading, queueing and prefilling. Draws nothing unless `shown` and stderr is a terminal."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def show(self, event: Loading | Queued | Prefilling) -> None:
        """Draw how far it has come."""
        if not self._shown:
            return
        if isinstance(event, Loading):
            known = event.progress > 0
            self._draw(f"loading {event.model}", done=event.progress, total=1.0 if known else None)
        elif isinstance(event, Queued):
            others = "1 other" if event.ahead == 1 else f"{event.ahead:,} others"
            self._draw(f"waiting behind {others}" if event.ahead else "waiting", done=0, total=None)
        elif event.done < event.total or self._progress is not None:
            cached = f", {event.cached:,} from the cache" if event.cached else ""
            self._draw(f"reading {event.total:,} tokens{cached}", done=event.done, total=event.total)

    def clear(self) -> None:
        """Leave no trace. May be called at any time, and again."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None

    def _draw(self, text: str, *, done: float, total: float | None) -> None:
        if self._progress is None:
            self._progress = _drawing()
            self._progress.start()
        if self._task is None:
            self._task = self._progress.add_task(text, total=total)
        self._progress.update(self._task, description=text, completed=done, total=total)


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
            self._task = self._progress.add_task(self._text)
        self._progress.update(self._task, completed=done, total=total)


def _drawing() -> Progress:
    # Imported here: an answer from the cache needs no progress, and should not wait for its import.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
