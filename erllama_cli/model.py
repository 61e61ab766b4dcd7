"""MODEL as the user writes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="The path of a GGUF file, or `demo`.")]


def model_name(model: str) -> str:
    """What the daemon, which works in another folder, understands: a name, or an absolute path.

    A daemon that ERLLAMA_SOCKET names may be another machine's: it is told what the user wrote. Raises RequestInvalid
    for what is not UTF-8.
    """
    from erllama_cli.question import valid_text
    from erllama_daemon.directories import given_socket

    path = Path(valid_text(model, "the model's name"))
    if given_socket() is not None:
        return model
    if path.is_file() or os.sep in model or model.endswith(".gguf"):
        return str(path.absolute())
    return model


def resolve_model(model: str) -> str:
    """As `model_name`. Raises ModelMissing for a path where nothing is, so that no daemon starts in vain."""
    from erllama_daemon.directories import given_socket

    name = model_name(model)
    if given_socket() is None and name.startswith(os.sep) and not Path(name).exists():
        from erllama_daemon.errors import ModelMissing

        raise ModelMissing(model=model)
    return name


def same_model(one: str, other: str) -> bool:
    """Whether two models, as the daemon understands them, are one."""
    return one == other or (one.startswith(os.sep) and os.path.realpath(one) == os.path.realpath(other))


def short_name(model: str) -> str:
    """A model's name for a table: of a path, what comes last."""
    return Path(model).name if model.startswith(os.sep) else model
