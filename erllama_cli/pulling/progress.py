"""How far a model has come, on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from erllama_cli.drawing.progress import NewClock, Stage, Waiting
from erllama_cli.one_line import one_line
from erllama_cli.output import readable_bytes


class Fetching:
    """Draws how much of a model of `size` bytes is there, and how fast it comes; a context manager. Leaves no trace."""

    def __init__(
        self,
        name: str,
        size: int,
        *,
        shown: bool,
        clock: NewClock | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = one_line(name)
        self._size = size
        self._waiting = Waiting(shown=shown, clock=clock)
        self._now = now
        self._ended = 0
        self._began: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.clear()

    def came(self, count: int) -> None:
        """So many bytes of the file that is being fetched are there; first those that were there before."""
        there = self._ended + count
        if self._began is None:
            self._began = self._now(), there
        began, before = self._began
        elapsed = self._now() - began
        speed = f", {readable_bytes(round((there - before) / elapsed))}/s" if elapsed >= 1 and there > before else ""
        text = f"fetching {self._name}: {readable_bytes(there)} of {readable_bytes(self._size)}{speed}"
        if there >= self._size:
            text = f"checking {self._name}"
        self._waiting.show_stage(Stage(text, there / self._size if self._size else None))

    def ended(self, count: int) -> None:
        """A file of so many bytes is there, whole."""
        self._ended += count
        self._began = None
