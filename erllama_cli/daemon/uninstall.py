"""`erllama daemon uninstall`: the daemon is no service any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.options.service import DryRun, Systemd

if TYPE_CHECKING:
    from erllama_cli.results.daemon import Uninstalled

EXAMPLES = """\b
Examples:
  erllama daemon uninstall
  erllama daemon uninstall --dry-run"""


def uninstall(
    systemd: Systemd = None,
    dry_run: DryRun = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Undo what `erllama daemon install` did.

    The service ends, saved, and its files are removed. Files in the same place that somebody else wrote are left.
    Commands start the daemon by themselves again.
    """
    with reported_failures(as_json=as_json, debug=debug):
        import os

        from erllama_cli.output import print_json
        from erllama_cli.results.daemon import Uninstalled
        from erllama_cli.service.choice import chosen
        from erllama_cli.service.file import is_ours, remove
        from erllama_daemon.directories import user_directories

        manager = chosen(user_directories(), systemd=systemd)
        ours = [path for path in manager.paths if is_ours(path)]
        commands: list[str] = []
        if ours and not dry_run:
            runs = manager.runs()
            if runs:
                manager.disable()
            remove([*manager.links, *ours])
            if runs:
                manager.forget()
            else:
                commands = manager.forgetting_commands
        uninstalled = Uninstalled(
            manager=manager.name,
            files=[str(path) for path in ours],
            removed=bool(ours) and not dry_run,
            left=[str(path) for path in manager.paths if path not in ours and os.path.lexists(path)],
            commands=commands,
        )
        if as_json:
            print_json(uninstalled)
        elif not quiet:
            _print(uninstalled)


def _print(uninstalled: Uninstalled) -> None:
    word = "removed" if uninstalled.removed else "would be removed"
    for path in uninstalled.files:
        print(f"{word}: {path}")
    for path in uninstalled.left:
        print(f"left, for erllama did not write it: {path}")
    if not (uninstalled.files or uninstalled.left):
        print("not installed")
    if uninstalled.commands:
        print(f"{uninstalled.manager} cannot be reached from here. Where it can, type:")
    for command in uninstalled.commands:
        print(f"  {command}")
