"""systemd's user manager: a service, and the socket that starts it at the first request."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Literal

from erllama_cli.results.daemon import ServiceFile
from erllama_cli.service.daemon import ARGUMENTS, kept_environment, stop_timeout_s
from erllama_cli.service.file import MARK
from erllama_cli.service.tool import Tool
from erllama_daemon.config import Config
from erllama_daemon.directories import Directories
from erllama_daemon.errors import EXIT_USAGE

SERVICE, SOCKET = "erllama.service", "erllama.socket"

_SYSTEMCTL = Tool("systemctl", ("--user",))
_ENABLE = (("daemon-reload",), ("enable", "--now", SOCKET))
_DISABLE = (("disable", "--now", SOCKET), ("disable", "--now", SERVICE))
_PLAIN = re.compile(r"[\w/.,+@=:~-]+", re.ASCII)

# What a user manager can do without privileges of its own. Not: a memory that cannot be written and run, which
# compilers of GPU kernels need; nor a system that cannot be written, for which it would need a user namespace.
_HARDENING = """\
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies={families}
SystemCallArchitectures=native"""


class Systemd:
    """The units of one user. Raises ServiceRefused if the manager does not do what it is told."""

    name: Literal["systemd"] = "systemd"

    def __init__(self, directories: Directories) -> None:
        self._directories = directories
        home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        self._folder = Path(home).absolute() / "systemd" / "user"

    @property
    def paths(self) -> list[Path]:
        """Where the units belong."""
        return [self._folder / SERVICE, self._folder / SOCKET]

    @property
    def links(self) -> list[Path]:
        """The links by which the manager has noted that the socket is enabled."""
        return [link for link in self._folder.glob(f"*.wants/{SOCKET}") if link.is_symlink()]

    def files(self, config: Config) -> list[ServiceFile]:
        """The units, for this user's folders and this interpreter."""
        service, socket = self.paths
        on_tcp = config.daemon.http is not None
        return [
            ServiceFile(str(service), _service(stop_timeout_s(config), self._environment(), on_tcp=on_tcp)),
            ServiceFile(str(socket), _socket(_listen_stream(self._directories.socket))),
        ]

    def runs(self) -> bool:
        """Whether there is a manager to be told."""
        return _SYSTEMCTL.agrees("show-environment")

    def enable(self) -> None:
        """Has the manager listen at the socket, now and at every login."""
        for words in _ENABLE:
            _SYSTEMCTL.tell(*words)

    def disable(self) -> None:
        """Has it listen no more, and ends the daemon if it started it. What it does not know of is fine."""
        for words in _DISABLE:
            _SYSTEMCTL.agrees(*words)

    def forget(self) -> None:
        """Has it notice that the units are gone."""
        _SYSTEMCTL.tell("daemon-reload")

    def start(self) -> None:
        """Has it start the daemon, unless that runs or the manager cannot be reached."""
        _SYSTEMCTL.agrees("start", SERVICE)

    @property
    def commands(self) -> list[str]:
        """What `enable` would have said."""
        return [_SYSTEMCTL.line(*words) for words in _ENABLE]

    @property
    def forgetting_commands(self) -> list[str]:
        """What is left to be said once the files are gone."""
        return [_SYSTEMCTL.line(*words) for words in (("stop", SOCKET, SERVICE), ("daemon-reload",))]

    def _environment(self) -> dict[str, str]:
        kept = kept_environment()
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        # The service takes the socket that it is given; a command that it should start would look where it is.
        return kept | ({"XDG_RUNTIME_DIR": runtime} if runtime and Path(runtime) != _manager_runtime() else {})


def _service(stop_timeout_s: int, environment: dict[str, str], *, on_tcp: bool) -> str:
    families = f"AF_UNIX AF_NETLINK{' AF_INET AF_INET6' if on_tcp else ''}"
    variables = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in environment.items())
    command = _command(sys.executable)
    return f"""\
# {MARK}
[Unit]
Description=erllama, the memory of local language models
Requires={SOCKET}
After={SOCKET}

[Service]
Type=notify
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
{variables}Restart=on-failure
RestartSec=1s
RestartPreventExitStatus={EXIT_USAGE}
TimeoutStartSec=90s
TimeoutStopSec={stop_timeout_s}s
KillMode=mixed
{_HARDENING.format(families=families)}

[Install]
Also={SOCKET}
"""


def _socket(listen_stream: str) -> str:
    return f"""\
# {MARK}
[Unit]
Description=The socket of erllama

[Socket]
ListenStream={listen_stream}
SocketMode=0600
DirectoryMode=0700

[Install]
WantedBy=sockets.target
"""


def _command(python: str) -> str:
    # The colon: no part of the path is taken for a variable. And only an argument may have quotes in its name.
    words = ["/usr/bin/env", python] if set(python) & set("\"'\\") else [python]
    return ":" * ("$" in python) + " ".join(_quoted(word) for word in [*words, *ARGUMENTS])


def _quoted(word: str) -> str:
    """A word such that systemd reads it as it is."""
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'


def _listen_stream(socket: Path) -> str:
    """Where the socket is: below the manager's own folder with the name that the manager has for it."""
    runtime = _manager_runtime()
    if socket.is_relative_to(runtime):
        return f"%t/{_escaped(str(socket.relative_to(runtime)))}"
    return _escaped(str(socket))


def _escaped(path: str) -> str:
    return path.replace("%", "%%")


def _manager_runtime() -> Path:
    """What %t is to the user's manager, whatever this shell says."""
    return Path(f"/run/user/{os.getuid()}")
