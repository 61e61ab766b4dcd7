"""What the user asks: an argument, after the documents that it is about."""

from __future__ import annotations

from collections.abc import Sequence

from erllama_cli.documents import piped_text, read_documents, stdin_is_terminal
from erllama_cli.files import STREAM
from erllama_daemon.errors import PromptEmpty, RequestInvalid
from erllama_daemon.messages import Message

BETWEEN_PARTS = "\n\n"


def read_question(prompt: str | None, files: Sequence[str] = ()) -> Message:
    """The user's message: `files`, what is piped in, then `prompt`, of which `-` is none.

    Raises what `read_documents` raises, and PromptEmpty.
    """
    documents = read_documents(files, stdin_asked_for=prompt == STREAM)
    return question_about(documents, typed_text(prompt))


def typed_text(prompt: str | None) -> str:
    """What the user typed as PROMPT; nothing for `-`. Raises RequestInvalid."""
    return "" if prompt is None or prompt == STREAM else valid_text(prompt, "the prompt")


def question_about(documents: Sequence[str], text: str) -> Message:
    """A message in which each document is a part of its own, exactly as it is, and the user's words are the last.

    So a document that is asked about twice is read once, and so are several as long as they begin alike. Raises
    PromptEmpty if there is nothing in it.
    """
    parts = [*documents, text] if text else [*documents]
    if not "".join(parts).strip():
        raise PromptEmpty
    return Message("user", separated(parts))


def separated(parts: Sequence[str]) -> list[str]:
    """The parts of a message, a blank line before each but the first: where one ends, what was read can be cut."""
    return [BETWEEN_PARTS * (place > 0) + part for place, part in enumerate(parts)]


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
    if text is not None and text != STREAM:
        return valid_text(text, "the text")
    if text is None and stdin_is_terminal():
        raise RequestInvalid(reason="it lacks a text; give one as an argument or on standard input")
    return piped_text()


def valid_text(text: str, name: str) -> str:
    """`text`, an argument. Raises RequestInvalid if the shell passed bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestInvalid(reason=f"{name} is not UTF-8 text") from error
    return text
