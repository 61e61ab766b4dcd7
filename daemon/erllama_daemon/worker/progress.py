"""How far a request is, for whoever looks on."""

from __future__ import annotations

import time
from typing import Literal

from erllama_daemon.engine.generation import Generation, GenerationState
from erllama_daemon.frames import Progress

_STATES: dict[GenerationState, Literal["queued", "prefilling", "generating"]] = {
    GenerationState.QUEUED: "queued",
    GenerationState.PREFILLING: "prefilling",
    GenerationState.GENERATING: "generating",
    GenerationState.DONE: "generating",
}
"""One that is done and not gone yet is being saved."""


def progress_of(generation: Generation) -> Progress:
    """What can be said of a request now. Any thread: the numbers may be of two neighbouring moments."""
    prefilled = generation.clock.prefilled
    return Progress(
        id=generation.id,
        state=_STATES[generation.state],
        prompt_tokens=generation.prompt_tokens,
        read_tokens=min(generation.computed, generation.prompt_tokens),
        cached_tokens=generation.cached,
        generated_tokens=generation.completion_tokens,
        generating_s=0.0 if prefilled is None else round(time.monotonic() - prefilled, 3),
    )
