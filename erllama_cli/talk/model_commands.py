"""Who answers, and what it knows beforehand."""

from __future__ import annotations

import msgspec

from erllama_cli.adapter.file import adapter_choice
from erllama_cli.model import resolve_model, short_name
from erllama_cli.question import valid_text
from erllama_cli.talk.file_commands import typed_path
from erllama_cli.talk.registry import ChatCommand
from erllama_cli.talk.told import tell
from erllama_cli.talk.window import Window
from erllama_daemon.messages import Message

_NONE = "off"
_READ_AGAIN = "everything said so far is read again with your next message."


def system(window: Window, text: str) -> None:
    """Show the system prompt, or have another take its place."""
    conversation = window.conversation
    if text:
        conversation.system = [Message("system", ["" if text == _NONE else valid_text(text, "the system prompt")])]
        if conversation.system[0].text == conversation.system_in_force:
            conversation.system = []
    wanted = conversation.system[-1].text if conversation.system else conversation.system_in_force
    tell(f"The system prompt: {wanted}" if wanted else "There is no system prompt.")
    if conversation.system and conversation.session.turn is not None:
        tell(f"It counts from your next message on; {_READ_AGAIN}")


def model(window: Window, name: str) -> None:
    """Show the model or take another."""
    conversation = window.conversation
    if not name:
        tell(f"The model is {conversation.session.model}")
        return
    wanted = resolve_model(str(typed_path(name)) if "/" in name else name)
    if wanted == conversation.session.model:
        tell(f"The model is {wanted} already.")
        return
    changed = conversation.client().change_session(conversation.session, model=wanted)
    conversation.session = msgspec.structs.replace(conversation.session, model=changed.model)
    reread = "" if conversation.session.turn is None else f"; {_READ_AGAIN}"
    tell(f"It goes on with {short_name(wanted)}{reread or '.'}")


def adapter(window: Window, argument: str) -> None:
    """Show the adapters of the next answers, or choose another one, or none."""
    conversation = window.conversation
    before = conversation.request.adapters
    if argument:
        chosen = [] if argument == _NONE else [adapter_choice(str(typed_path(argument)))]
        conversation.request = msgspec.structs.replace(conversation.request, adapters=chosen)
    now = conversation.request.adapters
    for choice in now:
        tell(f"The adapter {choice.path} is used at {choice.scale:g} of its strength.")
    if not now:
        tell("No adapter is used besides those that are attached to the model.")
    if now != before and conversation.session.turn is not None:
        tell(f"It counts from your next message on; {_READ_AGAIN}")


COMMANDS = (
    ChatCommand("system", "[TEXT|off]", "Show or change the system prompt.", system),
    ChatCommand("model", "[MODEL]", "Show the model or take another.", model, "model"),
    ChatCommand("adapter", "[FILE[=SCALE]|off]", "Show the LoRA adapter or take another.", adapter, "adapter"),
)
