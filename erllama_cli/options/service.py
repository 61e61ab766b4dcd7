"""Options of the commands that make the daemon a service."""

from __future__ import annotations

from typing import Annotated

import typer

Systemd = Annotated[
    bool | None,
    typer.Option("--systemd/--launchd", help="For which service manager; by default the one that this system has."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
