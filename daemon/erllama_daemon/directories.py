"""Where erllama keeps its files. XDG variables are honoured through platformdirs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import platformdirs

_NAME = "erllama"


class Directories(NamedTuple):
    """The five folders of one user. Nothing is created by looking.

    `cache` is disposable; `data` holds the sessions and is not; `runtime` holds the socket and the locks and
    is gone after a reboot; `log` holds what the daemon and its workers print; `config` holds what the user writes.
    """

    cache: Path
    data: Path
    runtime: Path
    log: Path
    config: Path

    @property
    def socket(self) -> Path:
        """The Unix socket of the daemon."""
        return self.runtime / "daemon.sock"

    @property
    def sessions(self) -> Path:
        """The SQLite file of the sessions."""
        return self.data / "sessions.sqlite3"

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
    )
