"""The models that there are, with all that is known of them."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from erllama_cache.errors import ErllamaError
from erllama_cache.model.gguf_header import GgufMalformed, NotGguf
from erllama_cache.model.parts import model_bytes
from erllama_daemon import memory
from erllama_daemon.catalog.configured import configured_options
from erllama_daemon.catalog.demo import DEMO, find_demo
from erllama_daemon.catalog.facts import NUMBERS_TOO_LARGE, ReadModel, read_model
from erllama_daemon.catalog.find import ALIASES, find_model, find_target
from erllama_daemon.catalog.memory_need import memory_need
from erllama_daemon.catalog.stored_model import StoredModel
from erllama_daemon.catalog.stores import stored_models
from erllama_daemon.config import Config
from erllama_daemon.errors import ModelUnreadable
from erllama_daemon.errors.model import NO_GGUF, NOT_WHOLE
from erllama_daemon.messages import Catalog, CatalogModel, ModelInfo, ModelInfoRequest, ModelOptions

_Stored = Callable[[], Sequence[StoredModel]]
_ALIAS = "alias"
_FILE = "file"
_MOST_BYTES = 1 << 62


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model that was found, by one name, in one store."""

    name: str
    store: str
    path: Path


class Listing:
    """What `models ls` and `models info` show. `cache` is where is remembered what headers say.

    `config` gives what says how models are loaded, `loaded` the files of those that are, behind all links, and
    `available_bytes` the memory that is free.
    """

    def __init__(
        self,
        cache: Path,
        config: Callable[[], Config],
        loaded: Callable[[], Collection[str]] = frozenset,
        available_bytes: Callable[[], int | None] = memory.available_bytes,
    ) -> None:
        self._cache = cache
        self._config = config
        self._loaded = loaded
        self._available_bytes = available_bytes

    def catalog(self) -> Catalog:
        """Every model: the demo, those of the stores, and those that only an alias leads to. Raises ConfigInvalid."""
        stored = cache(stored_models)
        aliases = _aliases_by_file(stored)
        places = [*_places(stored)]
        known = {os.path.realpath(place.path) for place in places}
        places += [NamedModel(names[0], _ALIAS, Path(file)) for file, names in aliases.items() if file not in known]
        loaded = self._loaded()
        return Catalog([self._model(place, aliases, loaded) for place in places])

    def named(self) -> list[NamedModel]:
        """Every name that means a model, each once and aliases first; no file is read. Raises ConfigInvalid."""
        stored = cache(stored_models)
        places = [
            NamedModel(name, _ALIAS, Path(file)) for file, names in _aliases_by_file(stored).items() for name in names
        ]
        places += _places(stored)
        return [*{place.name: place for place in reversed(places)}.values()][::-1]

    def info(self, request: ModelInfoRequest) -> ModelInfo:
        """One model, and the memory that it would take. Raises as `find_model`, and ModelUnreadable."""
        path = find_model(request.model)
        resolved = os.path.realpath(path)
        stored = cache(stored_models)
        found = next((place for place in _places(stored) if os.path.realpath(place.path) == resolved), None)
        place = NamedModel(found.name, found.store, path) if found else NamedModel(request.model, _FILE, path)
        read, size = self._read(path)
        model = self._model(place, _aliases_by_file(stored), self._loaded())
        available = self._available_bytes()
        need = memory_need(
            read.shape,
            trained=read.facts.context_size,
            weights_bytes=size,
            options=_over(request.options, configured_options(self._config(), path.resolve())),
            available=available,
        )
        if need.total_bytes + need.together_bytes > _MOST_BYTES:
            raise ModelUnreadable(path=path, reason=NUMBERS_TOO_LARGE)
        fits = None if available is None else need.total_bytes <= available
        return ModelInfo(model=model, memory=need, available_bytes=available, fits=fits)

    def _model(self, place: NamedModel, aliases: Mapping[str, list[str]], loaded: Collection[str]) -> CatalogModel:
        file = os.path.realpath(place.path)
        model = CatalogModel(
            name=place.name,
            store=place.store,
            path=str(place.path),
            bytes=0,
            aliases=aliases.get(file, []),
            loaded=file in loaded,
        )
        try:
            read, size = self._read(place.path)
        except ModelUnreadable as error:
            return msgspec.structs.replace(model, problem=str(error.details["reason"]))
        return msgspec.structs.replace(model, bytes=size, **msgspec.structs.asdict(read.facts))

    def _read(self, path: Path) -> tuple[ReadModel, int]:
        try:
            return read_model(path, self._cache), model_bytes(path)
        except GgufMalformed as error:
            raise ModelUnreadable(path=path, reason=error).with_hint(_hint(error)) from error
        except OSError as error:
            raise ModelUnreadable(path=path, reason=(error.strerror or str(error)).lower()) from error


def _hint(error: GgufMalformed) -> str:
    return NO_GGUF if isinstance(error, NotGguf) else NOT_WHOLE


def _over(options: ModelOptions, configured: ModelOptions) -> ModelOptions:
    """What is asked for, and where nothing is, what the configuration says."""
    said = {name: value for name, value in msgspec.structs.asdict(options).items() if value is not None}
    return msgspec.structs.replace(configured, **said)


def _places(stored: _Stored) -> Iterator[NamedModel]:
    with contextlib.suppress(ErllamaError):
        yield NamedModel(DEMO, DEMO, find_demo())
    for model in stored():
        yield NamedModel(model.name, model.store, model.path)


def _aliases_by_file(stored: _Stored) -> Mapping[str, list[str]]:
    """The aliases that lead to each file, behind all links. Those that lead nowhere are left out."""
    found = defaultdict[str, list[str]](list)
    for alias, target in ALIASES.current().items():
        try:
            found[os.path.realpath(find_target(target, alias, stored))].append(alias)
        except ErllamaError:
            continue
    return found
