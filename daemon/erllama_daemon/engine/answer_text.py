"""What a user sees of the bytes that a model generates: thinking apart, and nothing from a stop sequence on."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import Literal

from erllama_daemon.messages import ToolCall
from erllama_daemon.thinking import ThinkingMarkers
from erllama_daemon.tooling.call_split import CallSplit, overlap

Span = tuple[str, bool]
"""Some text, and whether it is thinking."""

Said = Span | ToolCall
"""What is shown of an answer as it comes."""


class StopSequences:
    """Lets text through up to the first stop sequence: the one that begins earliest, of these the longest.

    Text that may still become one is held back, so that the result does not depend on how the text is cut into
    pieces. `found` is the stop sequence, which is not let through, and neither is what follows it.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = sorted(stops, key=len, reverse=True)
        self._longest = len(self._stops[0]) if self._stops else 0
        self._held = ""
        self.found: str | None = None

    def add(self, text: str) -> str:
        """Takes more text; returns what can be shown now."""
        if self.found is not None:
            return ""
        self._held += text
        return self._release(self._first_unfinished())

    def flush(self) -> str:
        """No more text comes: returns the rest that can be shown."""
        return self._release(len(self._held))

    def _release(self, unfinished: int) -> str:
        """Lets go of what comes before the position of the first stop sequence that is not complete yet."""
        start, stop = self._first_complete()
        if stop is not None and start < unfinished:
            shown, self._held, self.found = self._held[:start], "", stop
        else:
            end = min(start, unfinished)
            shown, self._held = self._held[:end], self._held[end:]
        return shown

    def _first_complete(self) -> tuple[int, str | None]:
        start, first = len(self._held), None
        for stop in self._stops:
            position = self._held.find(stop)
            if 0 <= position < start:
                start, first = position, stop
        return start, first

    def _first_unfinished(self) -> int:
        length = len(self._held)
        for start in range(max(0, length - self._longest + 1), length):
            tail = self._held[start:]
            if any(len(stop) > len(tail) and stop.startswith(tail) for stop in self._stops):
                return start
        return length


class ThinkingSplit:
    """Tells thinking from the answer. Thinking comes first; an opening marker later on is part of the answer.

    White space before the opening marker and after the closing one is dropped. Thinking that is never closed stays
    thinking. `has_thought` says whether there is or was any.
    """

    def __init__(self, markers: ThinkingMarkers | None) -> None:
        self._markers = markers or ThinkingMarkers("", "")
        self._held = ""
        self._state: Literal["start", "thinking", "gap", "answer"] = "start"
        if markers is None:
            self._state = "answer"
        elif markers.starts_inside:
            self._state = "thinking"
        self.has_thought = self._state == "thinking"

    @property
    def is_thinking(self) -> bool:
        """Whether there was thinking, and nothing yet of the answer after it."""
        return self.has_thought and self._state != "answer"

    def add(self, text: str) -> list[Span]:
        """Takes more text; returns what is certain by now."""
        self._held += text
        spans: list[Span] = []
        if self._state == "start":
            self._begin()
        if self._state == "thinking":
            spans.append((self._think(), True))
        if self._state == "gap":
            self._held = self._held.lstrip()
            if self._held:
                self._state = "answer"
        if self._state == "answer":
            spans.append((self._take(len(self._held)), False))
        return [span for span in spans if span[0]]

    def flush(self) -> list[Span]:
        """No more text comes: returns the rest."""
        rest = self._take(len(self._held))
        return [(rest, self._state == "thinking")] if rest else []

    def _begin(self) -> None:
        opening, text = self._markers.opening, self._held.lstrip()
        if text.startswith(opening):
            self._held, self._state, self.has_thought = text[len(opening) :], "thinking", True
        elif not opening.startswith(text):
            self._state = "answer"

    def _think(self) -> str:
        closing = self._markers.closing
        position = self._held.find(closing)
        if position < 0:
            return self._take(len(self._held) - overlap(self._held, closing))
        thought = self._take(position)
        self._held, self._state = self._held[len(closing) :], "gap"
        return thought

    def _take(self, end: int) -> str:
        taken, self._held = self._held[:end], self._held[end:]
        return taken


class AnswerText:
    """Turns generated bytes into what is shown: UTF-8, thinking, calls of tools and stop sequences together.

    A character, a marker or a stop sequence may be split over pieces. Stop sequences end the answer's text: they are
    looked for neither in the thinking nor in calls.
    """

    def __init__(
        self, stops: Sequence[str] = (), markers: ThinkingMarkers | None = None, calls: CallSplit | None = None
    ) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._split = ThinkingSplit(markers)
        self._call_split = calls
        self._stops = StopSequences(stops)
        self._text: list[str] = []
        self._thinking: list[str] = []
        self.calls: list[ToolCall] = []

    @property
    def text(self) -> str:
        """The answer as far as it has been shown."""
        return "".join(self._text)

    @property
    def thinking(self) -> str | None:
        """The thinking as far as it has been shown; None if the model has not begun to think."""
        return "".join(self._thinking) if self._split.has_thought else None

    @property
    def is_thinking(self) -> bool:
        """Whether all so far is thinking."""
        return self._split.is_thinking

    @property
    def stop_sequence(self) -> str | None:
        """The stop sequence that ended the answer; nothing is shown any more once there is one."""
        return self._stops.found

    @property
    def begun_call(self) -> str | None:
        """The text of the calls that the model has begun to write; None if it writes none, or not the first."""
        return None if self._call_split is None else self._call_split.begun

    def add(self, piece: bytes, *, last: bool = False) -> list[Said]:
        """Takes the bytes of a token; returns what can be shown now. With `last`, what was held back as well."""
        if self.stop_sequence is not None:
            return []
        spans = self._split.add(self._decoder.decode(piece, last))
        if last:
            spans += self._split.flush()
        shown: list[Said] = []
        for text, is_thinking in spans:
            shown += [(text, True)] if is_thinking else self._answered(text)
        if last:
            shown += self._stopped(self._call_split.flush() if self._call_split is not None else ())
            shown.append((self._stops.flush(), False))
        return [each for each in shown if self._note(each)]

    def _answered(self, text: str) -> list[Said]:
        return self._stopped((text,) if self._call_split is None else self._call_split.add(text))

    def _stopped(self, pieces: Iterable[str | ToolCall]) -> list[Said]:
        """What of an answer comes before a stop sequence; none leads from the text before a call to that after it."""
        shown: list[Said] = []
        for piece in pieces:
            if isinstance(piece, str):
                shown.append((self._stops.add(piece), False))
                continue
            shown.append((self._stops.flush(), False))
            if self.stop_sequence is None:
                shown.append(piece)
        return shown

    def _note(self, shown: Said) -> bool:
        """Keeps what is shown; False if there is nothing to show."""
        if isinstance(shown, ToolCall):
            self.calls.append(shown)
            return True
        text, is_thinking = shown
        (self._thinking if is_thinking else self._text).append(text)
        return bool(text)
