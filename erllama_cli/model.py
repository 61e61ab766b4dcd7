"""MODEL as the user writes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from erllama_daemon.errors import ModelMissing

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="The path of a GGUF file, or `demo`.")]


def resolve_model(model: str) -> str:
    """What the daemon, which works in another folder, understands: a name, or an absolute path.

    Raises ModelMissing for a path where nothing is, so that no daemon starts in vain.
    """
    path = Path(model)
    if not (path.is_file() or os.sep in model or model.endswith(".gguf")):
        return model
    if not path.exists():
        raise ModelMissing(model=model)
    return str(path.absolute())
