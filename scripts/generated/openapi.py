"""docs/openapi.json: what the daemon serves at /openapi.json."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from erllama_daemon.directories import Directories, user_directories
from erllama_daemon.http.app import App, Life
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.http.openapi import openapi_document
from erllama_daemon.models.supervisor import Supervisor

PAGE = Path("docs") / "openapi.json"


def files() -> Iterator[tuple[Path, str]]:
    """The document, as the endpoints declare it."""
    with tempfile.TemporaryDirectory() as folder:
        document = openapi_document(_app(user_directories(), Path(folder)).endpoints())
    yield PAGE, json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _app(directories: Directories, folder: Path) -> App:
    supervisor = Supervisor(folder / "cache", log=folder / "log")
    # Its endpoints are told of and never asked: it has no life.
    return App(directories, supervisor, Conversations(folder / "sessions"), cast(Life, None))
