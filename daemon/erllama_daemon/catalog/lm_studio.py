"""LM Studio's models, which lie as they did at their publishers: PUBLISHER/REPO/FILE.gguf."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from erllama_daemon.catalog.gguf_files import model_files, repository_models, subfolders
from erllama_daemon.catalog.stored_model import StoredModel
from erllama_daemon.directories import expanded

STORE = "LM Studio"
_POINTER = ".lmstudio-home-pointer"
"""A file in the home folder that says where LM Studio is at home instead."""


def folders(_environment: Mapping[str, str]) -> list[Path]:
    """Where its newer and its older versions keep models, and where the user has them put instead."""
    homes = [expanded("~/.lmstudio"), expanded("~/.cache/lm-studio")]
    try:
        pointed = expanded(f"~/{_POINTER}").read_text(errors="replace").strip()
    except OSError:
        pointed = ""
    if pointed.startswith("/"):
        homes.insert(0, Path(pointed))
    found = []
    for home in homes:
        found += [*_chosen_folder(home), home / "models"]
    return [*dict.fromkeys(found)]


def models(folder: Path) -> list[StoredModel]:
    """The models of every publisher."""
    found: list[StoredModel] = []
    for publisher in subfolders(folder):
        for repository in subfolders(publisher):
            found += repository_models(STORE, f"{publisher.name}/{repository.name}", model_files(repository))
    return found


def _chosen_folder(home: Path) -> list[Path]:
    """Where its settings say that downloads go."""
    try:
        settings = (home / "settings.json").read_bytes()
    except OSError:
        return []
    import msgspec  # only who has the program waits for what reads its settings

    try:
        chosen = msgspec.json.decode(settings)["downloadsFolder"]
    except (msgspec.MsgspecError, LookupError, TypeError, UnicodeError, RecursionError):
        return []
    return [Path(chosen)] if isinstance(chosen, str) and chosen.startswith("/") else []
