"""Ollama's models, which it keeps as an image registry does.

manifests/HOST/NAMESPACE/MODEL/TAG      JSON: the layers of the model
blobs/sha256-DIGEST                     a layer; one of them is the GGUF file
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from erllama_daemon.catalog.gguf_files import is_folder
from erllama_daemon.catalog.stored_model import StoredModel
from erllama_daemon.directories import expanded

STORE = "Ollama"
SERVICE_FOLDER = Path("/usr/share/ollama/.ollama/models")
"""Where Ollama keeps models when it runs as a service of the system."""

_HOST, _NAMESPACE, _TAG = "registry.ollama.ai", "library", "latest"
_MODEL_LAYER = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256[:-](?P<digest>[0-9a-f]{64})", re.ASCII)
_DEPTH = 4
_MANIFESTS_LIMIT = 5_000
_MANIFEST_BYTES_LIMIT = 1 << 20


def folders(environment: Mapping[str, str]) -> list[Path]:
    """Where it keeps them: where the user says, or else in the home folder and where its service does."""
    if value := environment.get("OLLAMA_MODELS"):
        return [expanded(value)]
    return [expanded("~/.ollama/models"), SERVICE_FOLDER]


def models(folder: Path) -> list[StoredModel]:
    """The models that have a manifest and the file it names, as Ollama names them."""
    found = []
    for manifest in _manifests(folder / "manifests"):
        blob = _blob(folder, manifest)
        if blob is None:
            continue
        *place, model, tag = manifest.relative_to(folder / "manifests").parts
        base = "/".join([*_shown_place(place), model])
        found.append(StoredModel(store=STORE, base=base, tags=(tag,), path=blob, is_default=tag == _TAG))
    return found


def _shown_place(place: list[str]) -> list[str]:
    """Host and namespace, as far as Ollama shows them."""
    if place == [_HOST, _NAMESPACE]:
        return []
    return place[1:] if place[0] == _HOST else place


def _manifests(folder: Path) -> Iterator[Path]:
    """The files HOST/NAMESPACE/MODEL/TAG, in order."""
    waiting, budget = [(folder, _DEPTH)], _MANIFESTS_LIMIT
    while waiting:
        current, depth = waiting.pop()
        try:
            with os.scandir(current) as entries:
                found = sorted((entry.name, is_folder(entry)) for entry in entries)
        except OSError:
            continue
        budget -= len(found)
        if budget < 0:
            return
        if depth == 1:
            yield from (current / name for name, is_below in found if not (is_below or name.startswith(".")))
        else:
            waiting += [(current / name, depth - 1) for name, is_below in reversed(found) if is_below]


def _blob(folder: Path, manifest: Path) -> Path | None:
    """The model's file, if the manifest can be read, names one, and it is there."""
    # Imported here: who looks for a model elsewhere needs no JSON.
    import msgspec

    try:
        if manifest.stat().st_size > _MANIFEST_BYTES_LIMIT:
            return None
        read = msgspec.json.decode(manifest.read_bytes())
        layers = [layer for layer in read["layers"] if layer.get("mediaType") == _MODEL_LAYER]
        digest = _DIGEST.fullmatch(str(layers[0]["digest"])) if layers else None
        blob = None if digest is None else folder / "blobs" / f"sha256-{digest['digest']}"
        return blob if blob is not None and blob.is_file() else None
    except (OSError, msgspec.MsgspecError, LookupError, TypeError, AttributeError, UnicodeError, RecursionError):
        return None
