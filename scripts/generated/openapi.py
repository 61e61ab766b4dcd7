"""docs/openapi.json: what the daemon serves at /openapi.json."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from erllama_daemon.config import Settings
from erllama_daemon.directories import Directories, user_directories
from erllama_daemon.http.app import App
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.http.openapi import openapi_document
from erllama_daemon.messages import DaemonStatus, Reloaded
from erllama_daemon.models.supervisor import Supervisor

PAGE = Path("docs") / "openapi.json"


class _Unborn:
    """The life of a daemon that is never started."""

    def stop(self) -> None:
        raise NotImplementedError

    def why_in_use(self) -> str | None:
        raise NotImplementedError

    def reload(self) -> Reloaded:
        raise NotImplementedError

    @property
    def settings(self) -> Settings:
        raise NotImplementedError

    @property
    def connections(self) -> int:
        raise NotImplementedError

    def told(self, status: DaemonStatus) -> DaemonStatus:
        raise NotImplementedError


def files() -> Iterator[tuple[Path, str]]:
    """The document, as the endpoints declare it."""
    with tempfile.TemporaryDirectory() as folder:
        document = openapi_document(_app(user_directories(), Path(folder)).endpoints())
    yield PAGE, json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _app(directories: Directories, folder: Path) -> App:
    supervisor = Supervisor(folder / "cache", log=folder / "log")
    return App(directories, supervisor, Conversations(folder / "sessions"), _Unborn())
