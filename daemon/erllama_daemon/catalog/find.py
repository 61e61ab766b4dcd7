"""From what the user calls a model to its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from erllama_daemon.catalog.aliases import Aliases
from erllama_daemon.catalog.demo import DEMO, find_demo
from erllama_daemon.catalog.naming import meant, near
from erllama_daemon.catalog.stored_model import StoredModel
from erllama_daemon.catalog.stores import STORES, stored_models
from erllama_daemon.directories import expanded
from erllama_daemon.errors import ModelAmbiguous, ModelMissing, ModelUnknown, ModelUnreadable
from erllama_daemon.errors.model import A_FOLDER, NO_GGUF

ALIASES = Aliases()
"""Those of this process."""


def find_model(name: str) -> Path:
    """The absolute path of a model's GGUF file, by its path, `demo`, an alias, or its name in a store.

    Looks at every store that a name may be in, which takes milliseconds, or longer on a slow disk. Raises ModelMissing,
    ModelUnreadable, DemoModelMissing, ModelUnknown, ModelAmbiguous, and ConfigInvalid for aliases that cannot be read.
    """
    if name.startswith("/"):
        return _existing(Path(name), name)
    if name == DEMO:  # which no alias can be, so that it is found whatever the configuration says
        return find_demo()
    target = ALIASES.current().get(name)
    if target is None:
        return _stored(name, name)
    return find_target(target, f"{name}, an alias of {target}")


def find_target(target: str, called: str, stored: Callable[[], Sequence[StoredModel]] = stored_models) -> Path:
    """As `find_model`, for what an alias may stand for, which is no alias itself. `called` is for who is told of it.

    Who looks for many has `stored` remember what is in the stores.
    """
    if target == DEMO:
        return find_demo()
    return _existing(expanded(target), called) if target.startswith(("/", "~/")) else _stored(target, called, stored)


def _stored(name: str, called: str, stored: Callable[[], Sequence[StoredModel]] = stored_models) -> Path:
    models = stored()
    found = meant(name, models)
    if len(found) == 1:
        return found[0].path.absolute()
    if found:
        raise ModelAmbiguous(model=called, names=", ".join(_told_apart(found)))
    names = [*ALIASES.current(), DEMO, *(model.name for model in models)]
    raise ModelUnknown(model=called, stores=[store.name for store in STORES], near=near(name, names))


def _existing(path: Path, called: str) -> Path:
    try:
        if not path.exists():
            raise ModelMissing(model=called)
        if path.is_dir():
            raise ModelUnreadable(path=path, reason="it is a directory").with_hint(A_FOLDER)
        if not path.is_file():
            raise ModelUnreadable(path=path, reason="it is not a file").with_hint(NO_GGUF)
    except OSError as error:
        raise ModelUnreadable(path=path, reason=(error.strerror or str(error)).lower()) from error
    return path


def _told_apart(models: list[StoredModel]) -> list[str]:
    """Their names; of those that share one, also the path."""
    names = [model.name for model in models]
    return [model.name if names.count(model.name) == 1 else f"{model.name} in {model.path.parent}" for model in models]
