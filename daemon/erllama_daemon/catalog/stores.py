"""The stores of other programs in which models are found, in the order in which they are looked into."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from erllama_daemon.catalog import hugging_face, llama_cpp, lm_studio, ollama
from erllama_daemon.catalog.stored_model import StoredModel


@dataclass(frozen=True, slots=True)
class Store:
    """A program's store: its folders, given the environment, and the models in one of them.

    Neither raises: what is not there or cannot be read holds no models.
    """

    name: str
    folders: Callable[[Mapping[str, str]], list[Path]]
    models: Callable[[Path], list[StoredModel]]


STORES = (
    Store(hugging_face.STORE, hugging_face.folders, hugging_face.models),
    Store(ollama.STORE, ollama.folders, ollama.models),
    Store(lm_studio.STORE, lm_studio.folders, lm_studio.models),
    Store(llama_cpp.STORE, llama_cpp.folders, llama_cpp.models),
)


def store_folders() -> Iterator[tuple[Store, Path]]:
    """Every store with each of its folders, there or not."""
    for store in STORES:
        for folder in store.folders(os.environ):
            yield store, folder


def stored_models() -> list[StoredModel]:
    """The models of all stores; a file that two of them share belongs to the first.

    One whose path is no UTF-8 is left out: nobody could be told of it, and no worker.
    """
    found: dict[tuple[str, str], StoredModel] = {}
    for store, folder in store_folders():
        for model in filter(_is_told, store.models(folder)):
            found.setdefault((model.name, model.resolved), model)
    return [*found.values()]


def _is_told(model: StoredModel) -> bool:
    try:
        os.fspath(model.path).encode()
    except UnicodeEncodeError:
        return False
    return True
