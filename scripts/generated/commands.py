"""The commands as they describe themselves, for pages about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from erllama_cli.command import new_app
from erllama_cli.lazy_group import HELP_OPTIONS
from generated.parameters import Parameter, described

NAME = "erllama"


@dataclass(frozen=True)
class Command:
    """A command or a group, called by `words` of which the first is `erllama`."""

    words: tuple[str, ...]
    command: TyperGroup | TyperCommand

    @property
    def name(self) -> str:
        """Its words as they are typed."""
        return " ".join(self.words)

    @property
    def page(self) -> str:
        """What its man page is called, if it has one."""
        return "-".join(self.words)

    @property
    def is_group(self) -> bool:
        """Whether there are commands below it."""
        return isinstance(self.command, TyperGroup)

    @cached_property
    def children(self) -> list[Command]:
        """The commands right below it."""
        if not isinstance(self.command, TyperGroup):
            return []
        found = ((name, self.command.get_command(self._context, name)) for name in self.command.commands)
        return [Command((*self.words, name), as_typers(child)) for name, child in found]

    def leaves(self) -> Iterator[Command]:
        """The commands that do something: it, or all below it."""
        if not self.is_group:
            yield self
        for child in self.children:
            yield from child.leaves()

    @property
    def summary(self) -> str:
        """A line about it."""
        return " ".join(self._help[0].split())

    @property
    def details(self) -> list[str]:
        """What else there is to say, as paragraphs."""
        return [" ".join(paragraph.split()) for paragraph in (*self._help[1:], *self._epilog[1:])]

    @property
    def examples(self) -> list[str]:
        """Commands to try, each on a line."""
        listed = self._epilog[0].replace("\b", "").strip().splitlines()[1:] if self._epilog else []
        return [line.strip() for line in listed]

    @property
    def usage(self) -> str:
        """What may follow its words."""
        usage = self.command.get_usage(self._context).removeprefix("Usage: ")
        return " ".join(usage.split()).removeprefix(self.name).strip()

    @cached_property
    def parameters(self) -> list[Parameter]:
        """Its options and arguments, in the order of its help."""
        return [
            described(parameter, self._context)
            for parameter in self.command.get_params(self._context)
            if not getattr(parameter, "hidden", False)
        ]

    @property
    def _help(self) -> list[str]:
        return (self.command.help or "").strip().split("\n\n")

    @property
    def _epilog(self) -> list[str]:
        return (self.command.epilog or "").strip("\n").split("\n\n") if self.command.epilog else []

    @cached_property
    def _context(self) -> Any:
        return typer.Context(self.command, info_name=self.name, help_option_names=HELP_OPTIONS["help_option_names"])


def erllama() -> Command:
    """The whole."""
    return Command((NAME,), as_typers(get_command(new_app())))


def as_typers(command: object) -> TyperGroup | TyperCommand:
    """`command`, which can be nothing else here."""
    if not isinstance(command, TyperGroup | TyperCommand):
        raise TypeError(f"{command} is no command of typer's")
    return command
