"""`erllama daemon install`: the daemon as a service of the system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.options.service import DryRun, Systemd

if TYPE_CHECKING:
    from erllama_cli.results.daemon import Installed
    from erllama_cli.service.choice import Manager
    from erllama_daemon.directories import Directories

EXAMPLES = """\b
Examples:
  erllama daemon install
  erllama daemon install --print --systemd
  erllama daemon install --launchd --dry-run"""


def install(
    systemd: Systemd = None,
    print_only: Annotated[bool, typer.Option("--print", help="Print the files instead of writing them.")] = False,
    dry_run: DryRun = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that somebody else wrote.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Have systemd or launchd start the daemon when it is needed.

    Writes a service and a socket for systemd's user manager, an agent for launchd, and enables them. A daemon that a
    command started gives way, once it has saved, if nothing runs in it.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.output import print_json, write_text
        from erllama_cli.results.daemon import Installed
        from erllama_cli.service.choice import chosen
        from erllama_cli.service.file import check_writable, write
        from erllama_daemon.config import read_config
        from erllama_daemon.directories import user_directories

        directories = user_directories()
        manager = chosen(directories, systemd=systemd)
        files = manager.files(read_config(directories.config_file))
        if not print_only:
            check_writable(files, force=force)
        installed = Installed(manager=manager.name, files=files, written=False, active=False, commands=manager.commands)
        if not (print_only or dry_run):
            write(files)
            installed = _activated(manager, directories, installed)
        if as_json:
            print_json(installed)
        elif print_only:
            write_text("\n".join(file.text for file in files))
        elif not quiet:
            _print(installed)


def _activated(manager: Manager, directories: Directories, installed: Installed) -> Installed:
    """Tells the manager, unless there is none or a daemon that it did not start is in use."""
    from msgspec.structs import replace

    from erllama_cli.client import Client
    from erllama_cli.daemon.ending import end_if_idle

    if not manager.runs():
        return replace(installed, written=True, waits_for="manager")
    client = Client(directories)
    status = client.status()
    if status is not None and status.started_by != manager.name and not end_if_idle(client, directories, status):
        commands = ["erllama daemon stop", *installed.commands]
        return replace(installed, written=True, waits_for="daemon", commands=commands)
    manager.enable()
    return replace(installed, written=True, active=True, commands=[])


def _print(installed: Installed) -> None:
    word = "written" if installed.written else "would be written"
    for file in installed.files:
        print(f"{word}: {file.path}")
    if installed.active:
        print(f"enabled: {installed.manager} starts the daemon when it is needed")
        return
    match installed.waits_for:
        case "manager":
            print(f"{installed.manager} cannot be reached from here. Where it can, type:")
        case "daemon":
            print("the daemon that runs is in use. Once it is not, type:")
        case None:
            print("and then:")
    for command in installed.commands:
        print(f"  {command}")
