"""LoRA adapters as the user writes them."""

from __future__ import annotations

import os
from pathlib import Path

from erllama_cli.files import is_file, is_there
from erllama_cli.question import valid_text
from erllama_daemon.directories import given_socket
from erllama_daemon.errors import AdapterUnreadable
from erllama_daemon.messages import AdapterChoice
from erllama_daemon.messages.checks import check_adapter_choice


def adapter_choice(text: str) -> AdapterChoice:
    """`FILE[=SCALE]`. A file's name may hold `=` itself. Raises AdapterUnreadable and RequestInvalid."""
    name, equals, last = text.rpartition("=")
    scale = _number(last) if equals and not is_there(text) else None
    choice = AdapterChoice(adapter_path(text)) if scale is None else AdapterChoice(adapter_path(name), scale)
    check_adapter_choice(choice)
    return choice


def adapter_path(file: str) -> str:
    """The absolute path of an adapter's file, for the daemon works in another folder.

    One that ERLLAMA_SOCKET names may be another machine's: it is told what the user wrote. Raises AdapterUnreadable if
    nothing is there, so that no daemon starts in vain.
    """
    path = Path(valid_text(file, "an adapter's path"))
    if given_socket() is not None:
        return file
    if not is_there(path):
        raise AdapterUnreadable(path=file, reason="there is no such file")
    if path.is_dir():
        raise AdapterUnreadable(path=file, reason="it is a folder")
    return str(path.absolute())


def adapter_name(adapter: str) -> str:
    """An attached adapter by its handle or a part of it, or by its file, which may be gone by now."""
    valid_text(adapter, "the adapter")
    if given_socket() is not None:
        return adapter
    if os.sep in adapter or adapter.endswith(".gguf") or is_file(adapter):
        return str(Path(adapter).absolute())
    return adapter


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
