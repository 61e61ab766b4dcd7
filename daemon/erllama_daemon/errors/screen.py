"""What a command cannot do with what its user sees or types."""

from __future__ import annotations

from collections.abc import Sequence

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED, EXIT_USAGE


class ChatCommandUnknown(ErllamaError):
    """There is no command /{name}."""

    code = "chat_command_unknown"
    exit_code = EXIT_USAGE
    hint = "/help shows those that there are. A message that begins with a slash is written with two."

    def __init__(self, *, name: str, near: Sequence[str] = ()) -> None:
        super().__init__(name=name)
        if near:
            self.hint = f"Did you mean {' or '.join(f'/{command}' for command in near)}? {self.hint}"


class ChatCommandMisused(ErllamaError):
    """It is used so: {usage}."""

    code = "chat_command_misused"
    exit_code = EXIT_USAGE
    hint = "/help shows all commands."


class NothingSaid(ErllamaError):
    """Nothing was said in this conversation yet."""

    code = "nothing_said"
    exit_code = EXIT_FAILED
    hint = "Ask something first."


class NoClipboard(ErllamaError):
    """A terminal of the kind {terminal} reaches no clipboard."""

    code = "no_clipboard"
    exit_code = EXIT_FAILED
    hint = "/save FILE writes the conversation to a file."


class FileThere(ErllamaError):
    """There is a file {path} already."""

    code = "file_there"
    exit_code = EXIT_FAILED
    hint = "/save! {path} writes over it."


class OutputFailed(ErllamaError):
    """The answer cannot be written: {reason}."""

    code = "output_failed"
    exit_code = EXIT_FAILED
    hint = "What reads it is gone, or its disk is full. In a chat, the answer is kept all the same."
