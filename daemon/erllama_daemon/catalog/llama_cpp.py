"""llama.cpp's own cache: the older versions' files, which carry everything in their names, ORG_REPO_FILE.gguf.

Newer versions use Hugging Face's cache, and its layout also where LLAMA_CACHE says.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from erllama_daemon.catalog import hugging_face
from erllama_daemon.catalog.gguf_files import model_files, repository_models, stem_of
from erllama_daemon.catalog.stored_model import StoredModel
from erllama_daemon.directories import expanded

STORE = "llama.cpp"
_MANIFEST, _MANIFEST_END = "manifest=", ".json"


def folders(environment: Mapping[str, str]) -> list[Path]:
    """Where it keeps what it downloads."""
    if value := environment.get("LLAMA_CACHE"):
        return [expanded(value)]
    if sys.platform == "darwin":
        return [expanded("~/Library/Caches/llama.cpp")]
    return [expanded(environment.get("XDG_CACHE_HOME") or "~/.cache") / "llama.cpp"]


def models(folder: Path) -> list[StoredModel]:
    """The models of a cache, of either layout."""
    known, files = _repositories(folder), defaultdict[str, list[Path]](list)
    for file in model_files(folder, depth=0):
        files[_repository(file.name, known)].append(file)
    found = [model for name, its in files.items() for model in repository_models(STORE, name, its)]
    return found + hugging_face.models(folder, STORE)


def _repositories(folder: Path) -> list[str]:
    """The repositories of which there are manifests: manifest=ORG=REPO=TAG.json. Longer names first."""
    try:
        manifests = [*folder.glob(f"{_MANIFEST}*{_MANIFEST_END}")]
    except OSError:
        return []
    parts = [manifest.name.removesuffix(_MANIFEST_END).split("=") for manifest in manifests]
    return sorted({f"{part[1]}/{part[2]}" for part in parts if len(part) == 4}, key=len, reverse=True)


def _repository(file: str, known: Sequence[str]) -> str:
    """Where a file came from: what a manifest says, or else what its name most likely means; its stem if neither."""
    for repository in known:
        if file.startswith(repository.replace("/", "_") + "_"):
            return repository
    organization, _, rest = file.partition("_")
    end = rest.casefold().find("-gguf_")
    if end > 0:
        return f"{organization}/{rest[: end + len('-gguf')]}"
    return stem_of(file)
