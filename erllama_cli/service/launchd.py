"""launchd of macOS: an agent that runs the daemon from login on."""

from __future__ import annotations

import os
import plistlib
import sys
from pathlib import Path
from typing import Literal

from erllama_cli.results.daemon import ServiceFile
from erllama_cli.service.daemon import ARGUMENTS, kept_environment, stop_timeout_s
from erllama_cli.service.file import MARK
from erllama_cli.service.tool import Tool
from erllama_daemon.config import Config
from erllama_daemon.directories import SOCKET_VARIABLE, Directories

LABEL = "erllama.daemon"

_IN_BACKGROUND = "--in-background"
"""Has the daemon keep and rotate its own log: launchd does neither."""

_LAUNCHCTL = Tool("launchctl")


class Launchd:
    """The agent of one user. Raises ServiceRefused if launchd does not do what it is told."""

    name: Literal["launchd"] = "launchd"

    def __init__(self, directories: Directories) -> None:
        self._directories = directories
        self._path = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    @property
    def paths(self) -> list[Path]:
        """Where the property list belongs."""
        return [self._path]

    @property
    def links(self) -> list[Path]:
        """Launchd needs none."""
        return []

    def files(self, config: Config) -> list[ServiceFile]:
        """The property list, for this user's folders and this interpreter."""
        environment = kept_environment()
        if self._directories.given_socket is not None:
            environment[SOCKET_VARIABLE] = str(self._directories.given_socket)
        elif os.environ.get("XDG_RUNTIME_DIR"):
            environment["XDG_RUNTIME_DIR"] = os.environ["XDG_RUNTIME_DIR"]
        log = str(self._directories.daemon_log)
        agent = {
            "Label": LABEL,
            "ProgramArguments": [sys.executable, *ARGUMENTS, _IN_BACKGROUND],
            "EnvironmentVariables": environment,
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ExitTimeOut": stop_timeout_s(config),
            "Umask": 0o077,
            "WorkingDirectory": "/",
            "StandardOutPath": log,
            "StandardErrorPath": log,
        }
        first, _, rest = plistlib.dumps(agent, sort_keys=False).decode().partition("\n")
        return [ServiceFile(str(self._path), f"{first}\n<!-- {MARK} -->\n{rest}")]

    def runs(self) -> bool:
        """Whether there is a launchd to be told."""
        return _LAUNCHCTL.is_there

    def enable(self) -> None:
        """Has launchd run the daemon, now and from every login on."""
        _LAUNCHCTL.agrees("bootout", _target())  # what was there before
        _LAUNCHCTL.tell("bootstrap", _domain(), str(self._path))

    def disable(self) -> None:
        """Has launchd run it no more, and ends it. What it does not know of is fine."""
        _LAUNCHCTL.agrees("bootout", _target())

    def forget(self) -> None:
        """There is nothing else to tell it."""

    @property
    def commands(self) -> list[str]:
        """What `enable` would have said."""
        return [_LAUNCHCTL.line("bootstrap", _domain(), str(self._path))]

    @property
    def forgetting_commands(self) -> list[str]:
        """What is left to be said once the file is gone."""
        return [_LAUNCHCTL.line("bootout", _target())]


def _domain() -> str:
    return f"gui/{os.getuid()}"


def _target() -> str:
    return f"{_domain()}/{LABEL}"
