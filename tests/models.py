"""The models of the end-to-end tests: the real one, and one generated tiny model of each kind."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from tiny_models import TinyModel, write_tiny_model

from erllama_daemon.catalog.find import find_model

REAL = "real"
MODELS = (REAL, *(kind.value for kind in TinyModel))

CHARACTERS_PER_TOKEN = {REAL: 3.2}
"""Of a document; a tiny model's tokens are bytes."""


def model_file(name: str, folder: Path) -> Path:
    """The file of a model. A tiny one is generated once for all tests that share `folder`."""
    if name == REAL:
        return find_model("demo")
    path = folder / f"{name}.gguf"
    with FileLock(folder / f"{name}.lock"):
        if not path.exists():
            partial = path.with_suffix(".partial")
            write_tiny_model(TinyModel(name), partial)
            partial.rename(path)
    return path


def quantize(model: Path, quantized: Path) -> Path:
    """Writes a model with its matrices in Q8_0 to `quantized`, and gives that back."""
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
    parameters.nthread = 1
    code = llama_cpp.llama_model_quantize(os.fsencode(model), os.fsencode(quantized), ctypes.byref(parameters))
    assert code == 0
    return quantized


@dataclass(frozen=True)
class ModelUnderTest:
    """A model file, and texts measured in its tokens."""

    name: str
    path: Path

    @property
    def argument(self) -> str:
        """MODEL on the command line."""
        return "demo" if self.name == REAL else str(self.path)

    def document(self, tokens: int) -> str:
        """A text that has at least `tokens` tokens for this model, and not many more."""
        characters = int(tokens * CHARACTERS_PER_TOKEN.get(self.name, 1.0))
        text, day = "", 0
        while len(text) < characters:
            day += 1
            text += f"On day {day} the llama crossed river number {day * 7 % 31} and hummed. "
        return text
