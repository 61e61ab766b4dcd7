"""A second look, when a request's turn has come, at the chain that was found by the text of its messages."""

from __future__ import annotations

from dataclasses import replace

from erllama_cache.store import Store
from erllama_daemon.engine.backend import Backend
from erllama_daemon.engine.generation import Generation


def confirm_prompt(generation: Generation, store: Store, backend: Backend) -> None:
    """Has a request, which has its root by now, read all of its messages as text if that chain cannot be gone on from.

    It may have been evicted since, or adapters changed. Engine's thread only. Raises ContextExceeded.
    """
    prompt = generation.prompt
    if prompt is None or prompt.otherwise is None:
        return
    if prompt.root == generation.root and prompt.parent_key is not None and store.find(prompt.parent_key) is not None:
        generation.prompt = replace(prompt, otherwise=None)
        return
    generation.give(replace(prompt.otherwise(), dropped_messages=prompt.dropped_messages))
    if generation.sampler is not None:  # it remembers the tokens of the prompt
        generation.sampler.close()
        generation.sampler = backend.sampler(generation.request.sampling, generation.seed, generation.tokens)
