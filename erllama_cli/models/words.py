"""What is said of a model, in a word or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from erllama_daemon.messages import CatalogModel

_CACHE_WORDS = {"dense": "dense", "sliding window": "window", "hybrid": "hybrid", "recurrent": "state", "none": "none"}


def kind_of(model: CatalogModel) -> str:
    """What it is made for."""
    if model.embeddings is not None:
        return "embedding"
    if model.template is None:
        return "text"
    return "thinking" if model.thinking else "chat"


def cache_word(model: CatalogModel) -> str:
    """What the cache keeps of it."""
    return _CACHE_WORDS[model.cache]


def called(model: CatalogModel) -> str:
    """Its name, and the user's own names for it."""
    others = [alias for alias in model.aliases if alias != model.name]
    return f"{model.name} ({', '.join(others)})" if others else model.name
