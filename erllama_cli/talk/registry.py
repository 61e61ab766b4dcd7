"""What a command of a conversation is."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from erllama_cli.talk.window import Window
from erllama_daemon.errors import ChatCommandMisused, ChatCommandUnknown

Argument = Literal["nothing", "command", "turn", "setting", "file", "model", "adapter"]
"""What the argument of a command is, for completing it."""

_NEAR = 3


@dataclass(frozen=True, slots=True)
class ChatCommand:
    """A command that is typed with a slash before it.

    `usage` is how its argument is written, in brackets if it may be left out, and empty if it takes none. `run` gets
    the argument, stripped, and raises what the user should be told.
    """

    name: str
    usage: str
    summary: str
    run: Callable[[Window, str], None]
    argument: Argument = "nothing"
    details: str = ""

    @property
    def synopsis(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.usage}".rstrip()


class Registry(Mapping[str, ChatCommand]):
    """Commands by their names, in the order in which they are explained."""

    def __init__(self, commands: Iterable[ChatCommand]) -> None:
        self._commands = {command.name: command for command in commands}

    def __getitem__(self, name: str) -> ChatCommand:
        return self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)

    def named(self, name: str) -> ChatCommand:
        """The command of this name, with or without its slash. Raises ChatCommandUnknown, which suggests near ones."""
        name = name.removeprefix("/")
        if name in self._commands:
            return self._commands[name]
        begun = [command for command in self._commands if name and command.startswith(name)]
        close = difflib.get_close_matches(name, self._commands, n=_NEAR)
        raise ChatCommandUnknown(name=name, near=[*dict.fromkeys([*begun, *close])][:_NEAR])

    def run(self, window: Window, line: str) -> None:
        """Do what a line that begins with a slash says. Raises ChatCommandUnknown, ChatCommandMisused, and more."""
        name, *rest = line.split(maxsplit=1)
        command, argument = self.named(name), rest[0].strip() if rest else ""
        is_needed = bool(command.usage) and not command.usage.startswith("[")
        if (argument and not command.usage) or (is_needed and not argument):
            raise ChatCommandMisused(usage=command.synopsis)
        command.run(window, argument)
