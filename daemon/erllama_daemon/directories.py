"""Where erllama keeps its files. XDG variables are honoured through platformdirs."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import platformdirs

_NAME = "erllama"

SOCKET_VARIABLE = "ERLLAMA_SOCKET"
"""The environment variable that has commands ask the daemon at another socket, and a daemon listen there."""


class Directories(NamedTuple):
    """The five folders of one user. Nothing is created by looking.

    `cache` is disposable; `data` holds the sessions and is not; `runtime` holds the socket and the locks and
    is gone after a reboot; `log` holds what the daemon and its workers print; `config` holds what the user writes.
    `given_socket` is where the environment has the daemon's socket, None for its place in `runtime`.
    """

    cache: Path
    data: Path
    runtime: Path
    log: Path
    config: Path
    given_socket: Path | None = None

    @property
    def socket(self) -> Path:
        """The Unix socket of the daemon."""
        return self.given_socket or self.runtime / "daemon.sock"

    @property
    def lock(self) -> Path:
        """The file that the daemon at this socket holds locked: one daemon a socket."""
        return self.socket.with_name(f"{self.socket.name}.lock")

    @property
    def version_file(self) -> Path:
        """Where the daemon at this socket says of which version it is, and which folders it serves."""
        return self.socket.with_name(f"{self.socket.name}.version")

    @property
    def start_lock(self) -> Path:
        """The file that a command holds locked while it starts a daemon for this socket."""
        return self.socket.with_name(f"{self.socket.name}.start")

    @property
    def sessions_lock(self) -> Path:
        """The file that a daemon holds locked while the sessions are in its care: one daemon a database."""
        return self.sessions.with_name(f"{self.sessions.name}.lock")

    @property
    def sessions(self) -> Path:
        """The SQLite file of the sessions."""
        return self.data / "sessions.sqlite3"

    @property
    def responses(self) -> Path:
        """The SQLite file of the ids of responses."""
        return self.data / "responses.sqlite3"

    @property
    def daemon_log(self) -> Path:
        """What the daemon and its workers print."""
        return self.log / "daemon.log"

    @property
    def config_file(self) -> Path:
        """The user's settings, a TOML file that need not exist."""
        return self.config / "config.toml"


def create_private(folder: Path) -> None:
    """Creates a folder and whatever is missing above it, all for their owner only. Raises OSError.

    A runtime folder that others could enter would be passed over by the next process that looks for it.
    """
    if not folder.exists():
        create_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def given_socket() -> Path | None:
    """The socket that ERLLAMA_SOCKET names, absolute; None if it is not set or empty."""
    given = os.environ.get(SOCKET_VARIABLE)
    return expanded(given).absolute() if given else None


def expanded(written: str) -> Path:
    """A path in which `~` is the home folder; one whose home is unknown stays as it is written."""
    return Path(os.path.expanduser(written))  # noqa: PTH111 - Path raises where a home is unknown


def user_directories() -> Directories:
    """The folders of the user who runs this process."""
    with warnings.catch_warnings():
        # A runtime folder that others could enter is replaced by a safe one, the same in every process.
        warnings.simplefilter("ignore")
        runtime = platformdirs.user_runtime_dir(_NAME)
    return Directories(
        cache=Path(platformdirs.user_cache_dir(_NAME)),
        data=Path(platformdirs.user_data_dir(_NAME)),
        runtime=Path(runtime),
        log=Path(platformdirs.user_log_dir(_NAME)),
        config=Path(platformdirs.user_config_dir(_NAME)),
        given_socket=given_socket(),
    )
