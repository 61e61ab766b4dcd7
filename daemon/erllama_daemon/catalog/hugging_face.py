"""Hugging Face's cache, where also newer versions of llama.cpp keep what they download.

models--ORG--NAME/refs/main                     the commit that the branch is at
models--ORG--NAME/snapshots/COMMIT/FILE         a link into blobs/, or the file itself
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from erllama_daemon.catalog.gguf_files import model_files, repository_models, subfolders
from erllama_daemon.catalog.stored_model import StoredModel
from erllama_daemon.directories import expanded

STORE = "Hugging Face"
_PREFIX = "models--"


def folders(environment: Mapping[str, str]) -> list[Path]:
    """The cache, as huggingface_hub looks for it."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := environment.get(name):
            return [_path(value)]
    if value := environment.get("HF_HOME"):
        return [_path(value) / "hub"]
    return [_path(environment.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"]


def models(folder: Path, store: str = STORE) -> list[StoredModel]:
    """The models of a cache: of each repository, what its branch has now."""
    found: list[StoredModel] = []
    for repository in subfolders(folder):
        if not repository.name.startswith(_PREFIX):
            continue
        name = repository.name.removeprefix(_PREFIX).replace("--", "/")
        snapshot = _snapshot(repository)
        if snapshot is not None:
            found += repository_models(store, name, model_files(snapshot))
    return found


def _path(written: str) -> Path:
    return expanded(os.path.expandvars(written))


def _snapshot(repository: Path) -> Path | None:
    """What `main` was at last, or else the newest other branch, or else the newest snapshot; None if there is none."""
    snapshots = {folder.name: folder for folder in subfolders(repository / "snapshots")}
    for reference in sorted(_references(repository), key=_order):
        try:
            commit = reference.read_text(errors="replace").strip()
        except OSError:
            continue
        if commit in snapshots:
            return snapshots[commit]
    return max(snapshots.values(), key=_changed, default=None)


def _references(repository: Path) -> list[Path]:
    try:
        return [*(repository / "refs").iterdir()]
    except OSError:
        return []


def _order(reference: Path) -> tuple[bool, float]:
    return reference.name != "main", -_changed(reference)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
