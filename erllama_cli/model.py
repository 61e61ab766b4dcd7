"""MODEL as the user writes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from erllama_cli.completion.candidates import complete_model
from erllama_cli.files import is_file, is_there

_MODEL = typer.Argument(
    metavar="MODEL",
    help="`demo`, the path of a GGUF file, an alias, or a name: see `models ls`.",
    autocompletion=complete_model,
)
ModelArgument = Annotated[str, _MODEL]
ModelOrNone = Annotated[str | None, _MODEL]

_PATH_BEGINNINGS = ("/", "./", "../", "~/")


def model_name(model: str) -> str:
    """What the daemon, which works in another folder, understands: a name, or an absolute path.

    A name with a slash is a path only if it looks like one or leads to a file: ORG/REPO is none. A daemon that
    ERLLAMA_SOCKET names may be another machine's: it is told what the user wrote. Raises RequestInvalid
    for what is not UTF-8.
    """
    from erllama_cli.question import valid_text
    from erllama_daemon.directories import given_socket

    path = Path(valid_text(model, "the model's name"))
    if given_socket() is not None:
        return model
    if is_path(model) or is_file(path):
        return str((path.expanduser() if model.startswith("~/") else path).absolute())
    return model


def is_path(model: str) -> bool:
    """Whether a model is written as a path, there or not."""
    return model.startswith(_PATH_BEGINNINGS) or (model.endswith(".gguf") and ":" not in model)


def resolve_model(model: str) -> str:
    """As `model_name`. Raises ModelMissing for a path where nothing is, so that no daemon starts in vain."""
    from erllama_daemon.directories import given_socket

    name = model_name(model)
    if given_socket() is None and name.startswith(os.sep) and not is_there(name):
        from erllama_daemon.errors import ModelMissing

        raise ModelMissing(model=model)
    return name


def same_model(one: str, other: str) -> bool:
    """Whether two models, as the daemon understands them, are one: by name, or by the file that both mean here."""
    if one == other or (one.startswith(os.sep) and os.path.realpath(one) == os.path.realpath(other)):
        return True
    from erllama_cache.errors import ErllamaError
    from erllama_daemon.catalog.find import find_model

    try:
        return os.path.realpath(find_model(one)) == os.path.realpath(find_model(other))
    except ErllamaError:
        return False


def short_name(model: str) -> str:
    """A model's name for a table: of a path, and of ORG/REPO, what comes last."""
    return model.rpartition(os.sep)[2] or model
