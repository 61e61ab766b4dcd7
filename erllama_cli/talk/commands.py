"""All commands of a conversation."""

from __future__ import annotations

from erllama_cli.talk import figure_commands, file_commands, history_commands, model_commands, settings
from erllama_cli.talk.registry import ChatCommand, Registry
from erllama_cli.talk.told import tell, tell_columns
from erllama_cli.talk.window import Window

_KEYS = (
    "Enter sends, Alt-Enter or Ctrl-J begin a new line. Tab completes commands, Ctrl-R looks for what you typed before,"
    " Ctrl-X Ctrl-E opens $EDITOR.\n"
)
_EVERYWHERE = "Ctrl-C stops an answer or clears the line, Ctrl-D leaves. // begins a message with a slash."


def help_(window: Window, name: str) -> None:
    """Explain all commands, or one."""
    if name:
        command = COMMANDS.named(name)
        tell("\n".join(filter(None, [command.synopsis, command.summary, command.details])))
        return
    tell_columns([(command.synopsis, command.summary) for command in COMMANDS.values()])
    tell((_KEYS if window.edits else "") + _EVERYWHERE)


def exit_(window: Window, _argument: str) -> None:
    """Leave."""
    window.is_left = True


COMMANDS = Registry(
    [
        ChatCommand("help", "[COMMAND]", "Explain the commands, or one of them.", help_, "command"),
        *history_commands.COMMANDS,
        *model_commands.COMMANDS,
        *settings.COMMANDS,
        *file_commands.COMMANDS,
        *figure_commands.COMMANDS,
        ChatCommand("exit", "", "Leave; the conversation is kept.", exit_),
    ]
)
