"""Roots in words: which model, adapters and settings stand behind one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import msgspec

from erllama_cli.model import short_name
from erllama_cli.one_line import one_line

if TYPE_CHECKING:
    from erllama_cache.disk.origins import Origin

_SHOWN_DIGITS = 12
_SAID_ANYWAY = {"type_k", "type_v", "threads", "fingerprint"}


def root_words(roots: Collection[bytes], origins: Mapping[bytes, Origin]) -> dict[bytes, list[str]]:
    """What to call each root: model, KV type, threads, adapters, and what else tells it from others of its model.

    No two roots are called the same.
    """
    by_model: defaultdict[str, list[bytes]] = defaultdict(list)
    for root in roots:
        by_model[short_name(origins[root].model) if root in origins else "?"].append(root)
    words: dict[bytes, list[str]] = {}
    for name, alike in by_model.items():
        known = {root: origins[root] for root in alike if root in origins}
        differing = _differing(list(known.values()))
        called = {root: [name, *_said(known[root], differing)] if root in known else [name] for root in alike}
        texts = [*called.values()]
        for root, text in called.items():
            is_alone = texts.count(text) == 1 and root in known
            words[root] = text if is_alone else [*text, f"root {root.hex()[:_SHOWN_DIGITS]}"]
    return words


def _said(origin: Origin, differing: set[str]) -> list[str]:
    record = origin.record
    types = record.type_k if record.type_k == record.type_v else f"{record.type_k}/{record.type_v}"
    adapters = [f"{each.name} × {each.scale:g}" for each in origin.adapters]
    settings = msgspec.structs.asdict(record)
    also = [_setting(name, value) for name, value in settings.items() if name in differing]
    if "model_fingerprint" in differing:
        also.append(f"file {origin.model_fingerprint[:_SHOWN_DIGITS]}")
    threads = f"{record.threads} thread{'' if record.threads == 1 else 's'}"
    return [one_line(word) for word in (types, threads, *adapters, *also)]


def _setting(name: str, value: object) -> str:
    if isinstance(value, dict):
        value = " ".join(f"{part}={number:g}" for part, number in value.items()) or "as the model has it"
    return f"{name.replace('_', ' ')} {value}"


def _differing(origins: list[Origin]) -> set[str]:
    """The settings in which these differ and which are not said of each anyway."""
    settings = [
        {**msgspec.structs.asdict(each.record), "model_fingerprint": each.model_fingerprint} for each in origins
    ]
    names = settings[0].keys() - _SAID_ANYWAY if settings else set()
    return {name for name in names if any(each[name] != settings[0][name] for each in settings)}
