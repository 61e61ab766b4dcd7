"""What a request's client hears: its text in frames, and at the end its stats."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from erllama_cache.keys import pack_tokens
from erllama_cache.writer import SaveOutcome
from erllama_daemon.engine.answer_text import Said, Span
from erllama_daemon.engine.generation import Generation
from erllama_daemon.frames import Called, Finished, FromWorker, Text
from erllama_daemon.messages import Message, TokenLogprobs, ToolCall

TEXT_INTERVAL_S = 0.015
"""Text that becomes ready within this time travels together: each wake-up elsewhere stalls llama.cpp's threads."""

LONGEST_INTERVAL_S = 0.1
"""For many answers at once the time is as many times as long, but no longer than this."""


class Reply:
    """Collects the text of one request and sends it on; the first text leaves at once."""

    def __init__(self, generation: Generation, send: Callable[[FromWorker], None]) -> None:
        self._generation = generation
        self._send = send
        self._sent_logprobs = 0
        self._unsent: list[Span] = []
        self._sent_at = 0.0

    def add(self, said: Iterable[Said], *, answers: int = 1) -> None:
        """What may be shown, now or with what follows soon; `answers` is how many are being generated."""
        for each in said:
            if isinstance(each, ToolCall):
                self.flush()
                self._send(Called(self._generation.id, each))
            else:
                self._unsent.append(each)
        interval_s = min(TEXT_INTERVAL_S * answers, LONGEST_INTERVAL_S)
        if self._unsent and time.monotonic() - self._sent_at >= interval_s:
            self.flush()

    def flush(self) -> None:
        """Sends what is left."""
        for is_thinking, spans in itertools.groupby(self._unsent, key=lambda span: span[1]):
            logprobs = [] if is_thinking else self._unsent_logprobs()
            self._send(Text(self._generation.id, "".join(text for text, _thinking in spans), is_thinking, logprobs))
        self._unsent.clear()
        self._sent_at = time.monotonic()

    def _unsent_logprobs(self) -> list[TokenLogprobs]:
        found = self._generation.logprobs
        if found is None:
            return []
        start = max(self._sent_logprobs, self._generation.thinking_tokens)
        self._sent_logprobs = len(found)
        return found[start:]


def finished_frame(generation: Generation, model: str, *, answered: bool) -> Finished:
    """The last frame of a request that ended well."""
    return Finished(
        id=generation.id,
        stats=generation.stats(model),
        tokens=pack_tokens(generation.tokens),
        finish_key=generation.tail_key,
        answered=answered,
        view=_view(generation),
    )


def _view(generation: Generation) -> list[Message] | None:
    """What the model was shown up to its answer, if that is not all that was said."""
    request, shown = generation.request, generation.prompt.messages if generation.prompt is not None else None
    said = [*(request.history.messages if request.history is not None else ()), *request.messages]
    return None if shown is None or shown == said else shown


def send_when_saved(generation: Generation, send: Callable[[], None]) -> None:
    """Calls `send` once every block of the request is saved or dropped, on whichever thread that is known."""
    # Saves end in any order: one that is dropped is done at once.
    left = len(generation.saves)
    counting = threading.Lock()

    def count_down(_save: Future[SaveOutcome]) -> None:
        nonlocal left
        with counting:
            left -= 1
            is_last = left == 0
        if is_last:
            send()

    for save in list(generation.saves):
        save.add_done_callback(count_down)
    if not generation.saves:
        send()
