"""Commands that are imported only when they are typed: all of them take longer to import than most take to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

import typer
from typer.core import TyperCommand

Place = tuple[str, str]
"""A module of commands and the function in it that is the command.

The module may say more of it: `EXAMPLES`, and its class as `COMMAND`.
"""


def add_commands(app: typer.Typer, places: Mapping[str, Place], words: Sequence[str]) -> None:
    """Add the command that `words`, what was typed after the group's name, ask for; all of them if it is none."""
    asked = words[0] if words and words[0] in places else None
    for name, (module_name, function) in places.items():
        if asked in (None, name):
            module = import_module(module_name)
            kind: type[TyperCommand] = getattr(module, "COMMAND", TyperCommand)
            app.command(name, cls=kind, epilog=module.EXAMPLES)(getattr(module, function))
