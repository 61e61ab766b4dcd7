"""Stores of other programs, made up in a home folder, as these programs lay them out."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

COMMIT = "a" * 40


@dataclass(frozen=True)
class Stores:
    """The stores of one user. Each method puts one model there and gives its file, of several parts the first."""

    home: Path

    def hugging_face(
        self, repository: str, file: str, content: bytes = b"GGUF", *, commit: str = COMMIT, branch: str | None = "main"
    ) -> Path:
        folder = self.home / "cache/huggingface/hub" / f"models--{repository.replace('/', '--')}"
        blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link = folder / "snapshots" / commit / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
        if branch is not None:
            (folder / "refs").mkdir(exist_ok=True)
            (folder / "refs" / branch).write_text(commit)
        return link

    def ollama(self, place: str, content: bytes = b"GGUF") -> Path:
        """`place` is HOST/NAMESPACE/MODEL/TAG, or the end of it for the library of its registry."""
        parts = ["registry.ollama.ai", "library", *place.split("/")][-4:]
        manifest = self.home.joinpath("ollama/manifests", *parts)
        manifest.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(content).hexdigest()
        layers = [
            {"mediaType": "application/vnd.ollama.image.license", "digest": f"sha256:{'0' * 64}", "size": 1},
            {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}", "size": len(content)},
        ]
        manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
        return put(self.home / "ollama/blobs" / f"sha256-{digest}", content)

    def lm_studio(self, place: str, content: bytes = b"GGUF", *, folder: str = ".lmstudio/models") -> Path:
        return put(self.home / folder / place, content)

    def llama_cpp(self, name: str, content: bytes = b"GGUF") -> Path:
        return put(self.home / "cache/llama.cpp" / name, content)


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
