"""Which of the models in the stores a name means."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

from erllama_daemon.catalog.stored_model import StoredModel

_NEAR = 5
_Fits = Callable[[StoredModel, str, str | None], bool]


def meant(name: str, models: Iterable[StoredModel]) -> list[StoredModel]:
    """The models that `name` may mean: one if it is found, several if it is ambiguous, none if it is unknown.

    All of a name comes before one in other letters, and that before a short one: the last part of a repository's name,
    with or without its -GGUF, or a file's name.
    """
    known = [*models]
    base, tag = split_tag(name)
    for fits in (_is_named, _is_named_in_other_letters, _is_named_in_short):
        if found := [model for model in known if fits(model, base, tag)]:
            return _without_copies(found if tag else _defaults(found))
    return []


def near(name: str, models: Iterable[str]) -> list[str]:
    """Names that look or begin like `name`, the likeliest first."""
    known = [*dict.fromkeys(models)]
    folded = {each.casefold(): each for each in known}
    part = name.casefold().rpartition("/")[2]
    holding = [each for each in known if part and part.partition(":")[0] in each.casefold()]
    shorter = {each.casefold().rpartition("/")[2]: each for each in known}
    close = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, _NEAR)]
    close += [shorter[each] for each in difflib.get_close_matches(part, shorter, _NEAR)]
    return [*dict.fromkeys([*holding, *close])][:_NEAR]


def split_tag(name: str) -> tuple[str, str | None]:
    """A name and its tag: what stands after the last colon, unless that is of a host and its port."""
    base, colon, tag = name.rpartition(":")
    return (base, tag) if colon and base and tag and "/" not in tag else (name, None)


def _is_named(model: StoredModel, base: str, tag: str | None) -> bool:
    return model.base == base and (tag is None or tag in model.tags)


def _is_named_in_other_letters(model: StoredModel, base: str, tag: str | None) -> bool:
    return model.base.casefold() == base.casefold() and (tag is None or model.has_tag(tag))


def _is_named_in_short(model: StoredModel, base: str, tag: str | None) -> bool:
    return base.casefold() in model.short_bases and (tag is None or model.has_tag(tag))


def _defaults(models: Sequence[StoredModel]) -> list[StoredModel]:
    """Of the models that share a base, the one that it means by itself; all of them if it means none."""
    found: list[StoredModel] = []
    for place in dict.fromkeys((model.store, model.base) for model in models):
        sharing = [model for model in models if (model.store, model.base) == place]
        found += [model for model in sharing if model.is_default] or sharing
    return found


def _without_copies(models: Sequence[StoredModel]) -> list[StoredModel]:
    """Each once: links to one file are one model, and so are files of one name and size in two stores."""
    found: dict[object, StoredModel] = {}
    for model in {model.resolved: model for model in reversed(models)}.values():
        found[model.name.casefold(), _size(model)] = model
    return [model for model in models if model in found.values()]


def _size(model: StoredModel) -> int:
    try:
        return model.path.stat().st_size
    except OSError:
        return 0
