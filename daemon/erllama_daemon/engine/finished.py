"""The finished requests whose state is still live, wherever it is: alone in its buffer, or in company."""

from __future__ import annotations

from collections.abc import Callable

from erllama_daemon.engine.company import Company
from erllama_daemon.engine.generation import Generation
from erllama_daemon.engine.solo import SoloBuffer


class FinishedRequests:
    """Lets them go. Engine's thread only."""

    def __init__(self, company: Company, solo: SoloBuffer | None) -> None:
        self._company = company
        self._solo = solo

    def let_go(self) -> int:
        """Lets every one go, after saving what the cache does not hold of it; how many there were."""
        return self._drop(self._live())

    def forget(self, is_unwanted: Callable[[Generation], bool]) -> int:
        """Lets go, unsaved, of those that are unwanted; how many there were."""
        gone = [generation for generation in self._live() if is_unwanted(generation)]
        for generation in gone:
            generation.saves.clear()  # or what the cache did not take would be saved once more
        return self._drop(gone)

    def _live(self) -> list[Generation]:
        alone = self._solo.finished if self._solo is not None else None
        return [*self._company.finished, *([] if alone is None else [alone])]

    def _drop(self, generations: list[Generation]) -> int:
        for generation in generations:
            if self._solo is not None and generation is self._solo.finished:
                self._solo.drop_finished()
            else:
                self._company.drop(generation)
        return len(generations)
