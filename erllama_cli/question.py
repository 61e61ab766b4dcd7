"""What the user asks: an argument, standard input, or both."""

from __future__ import annotations

import sys

from erllama_daemon.errors import PromptEmpty, RequestInvalid
from erllama_daemon.messages import Message

STDIN_ONLY = "-"


def read_question(prompt: str | None) -> Message:
    """The user's message: what is piped in, then `prompt`.

    Each is a part of its own, so that a document that is asked about twice is read once. Waits for the end of
    standard input unless that is a terminal. Raises PromptEmpty and RequestInvalid.
    """
    stdin_only = prompt == STDIN_ONLY
    document = piped_text() if stdin_only or not _stdin_is_terminal() else ""
    text = "" if prompt is None or stdin_only else valid_text(prompt, "the prompt")
    if not (document + text).strip():
        raise PromptEmpty
    if not document.strip():
        return Message("user", [text])
    if not text:
        return Message("user", [document])
    return _about(document, text)


def question_about(document: str) -> Message:
    """A message that begins as every question about a document does. Raises PromptEmpty if there is nothing in it."""
    if not document.strip():
        raise PromptEmpty
    return _about(document, "?")


def system_messages(system: str | None) -> list[Message]:
    """What goes before the question: for None what is configured, and nothing for an empty text.

    Raises RequestInvalid and ConfigInvalid.
    """
    if system is None:
        from erllama_cli.config.defaults import default_system

        system = default_system()
    return [Message("system", [valid_text(system, "the system prompt")])] if system else []


def read_text(text: str | None) -> str:
    """`text`, or all of standard input if there is none or it is `-`. Raises RequestInvalid.

    On a terminal, standard input is read for `-` alone: nobody knows that they should type.
    """
    if text is not None and text != STDIN_ONLY:
        return valid_text(text, "the text")
    if text is None and _stdin_is_terminal():
        raise RequestInvalid(reason="it lacks a text; give one as an argument or on standard input")
    return piped_text()


def piped_text() -> str:
    """All of standard input. Raises RequestInvalid if it is not UTF-8."""
    if sys.stdin is None:
        return ""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise RequestInvalid(reason=f"standard input is not UTF-8 text (byte {error.start})") from error


def valid_text(text: str, name: str) -> str:
    """`text`, an argument. Raises RequestInvalid if the shell passed bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestInvalid(reason=f"{name} is not UTF-8 text") from error
    return text


def _stdin_is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _about(document: str, question: str) -> Message:
    return Message("user", [document, f"\n\n{question}"])
