"""`erllama chat`: a conversation that is kept at every turn."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelOrNone, resolve_model
from erllama_cli.options.answer import AnswerOptions, unasked_request
from erllama_cli.options.answer_command import AnswerCommand
from erllama_cli.options.groups import with_option_groups
from erllama_cli.options.model import LoadOptions
from erllama_cli.options.opening import OpeningOptions, Overflowing
from erllama_cli.options.sampling import SamplingOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from erllama_cli.conversation.conversation import Conversation
    from erllama_cli.conversation.opening import Opened
    from erllama_cli.talk.question import AttachedFile
    from erllama_daemon.messages import Message

COMMAND = AnswerCommand
EXAMPLES = """\b
Examples:
  erllama chat demo
  erllama chat --continue
  echo "And why?" | erllama chat -c
  erllama chat demo --session build
  erllama chat --session build < question.txt
  erllama chat --session build --fork --name "build, but faster"
  erllama chat --session build --model ./moved.gguf
  erllama chat demo -f report.txt
  erllama chat demo --ctx 8192 --overflow drop
  erllama chat demo --private

On a terminal, Ctrl-C stops an answer and Ctrl-D leaves. Elsewhere standard
input is one message, and the command ends with its answer."""


@with_option_groups
def chat(
    model: ModelOrNone = None,
    *,
    which: OpeningOptions,
    answering: AnswerOptions,
    choosing: SamplingOptions,
    file: options.Files = None,
    system: options.System = None,
    overflow: Overflowing = None,
    loading: LoadOptions,
    display: options.DisplayOptions,
) -> None:
    """Talk with a model. Every turn is kept, and can be resumed.

    After a crash or a reboot too, and bit for bit. With --private the conversation is kept nowhere, and gone when
    the command ends. With --json, one object a turn, each on a line of its own.
    """
    with reported_failures(as_json=display.as_json, debug=display.debug):
        import msgspec

        from erllama_cli.config.defaults import default_model
        from erllama_cli.conversation.conversation import Conversation
        from erllama_cli.conversation.hold import Hold
        from erllama_cli.conversation.opening import Opening, system_at_start
        from erllama_cli.launcher import running_daemon
        from erllama_cli.question import system_messages
        from erllama_daemon.directories import user_directories

        is_window = sys.stdin is not None and sys.stdin.isatty()
        if model is None and not which.resume and which.session is None:
            model = default_model()
        which.check(model, system, private=answering.private)
        display.check()
        resolved, other = (None if each is None else resolve_model(each) for each in (model, which.other_model))
        request = unasked_request(answering, choosing, loading, as_json=display.as_json)
        request = msgspec.structs.replace(request, overflow=overflow or "stop")
        head = system_messages(system)
        question = None if is_window else _question(model, which, file or [], quiet=display.quiet)
        files = _attached(file or []) if is_window else []
        directories = user_directories()
        with Hold(directories) as hold:
            opened = Opening(
                client=running_daemon(directories, quiet=display.quiet),
                hold=hold,
                options=which,
                model=resolved,
                other_model=other,
                loading=request.options,
                private=answering.private,
                is_window=is_window,
                quiet=display.quiet or display.as_json,
            ).open()
            conversation = Conversation(
                directories=directories,
                session=opened.session,
                system=system_at_start(opened.session, head, is_given=system is not None),
                request=request,
                display=display.but(in_chat=is_window),
                hold=hold,
            )
            _converse(conversation, opened, question, files)


def _question(model: str | None, which: OpeningOptions, files: Sequence[str], *, quiet: bool) -> Message:
    """Files, then standard input. An empty one hides no conversation that is not there."""
    from erllama_cli.conversation.opening import find_session
    from erllama_cli.launcher import running_daemon
    from erllama_cli.question import read_question
    from erllama_daemon.directories import user_directories
    from erllama_daemon.errors import PromptEmpty

    try:
        return read_question(None, files)
    except PromptEmpty:
        if model is None:
            find_session(running_daemon(user_directories(), quiet=quiet), which)
        raise


def _attached(files: Sequence[str]) -> list[AttachedFile]:
    """Files that go before what is typed first. Raises DocumentUnreadable and RequestInvalid."""
    from erllama_cli.documents import read_documents
    from erllama_cli.files import STREAM
    from erllama_cli.talk.question import AttachedFile
    from erllama_daemon.errors import RequestInvalid

    if STREAM in files:
        raise RequestInvalid(reason="--file - is what is piped in, and here that is what you type")
    texts = read_documents(files, stdin_is_taken=True)
    return [AttachedFile(file, text) for file, text in zip(files, texts, strict=True)]


def _converse(conversation: Conversation, opened: Opened, question: Message | None, files: list[AttachedFile]) -> None:
    from erllama_cli.conversation.opening import tell_which

    display = conversation.display
    if not (display.quiet or display.as_json) and (question is not None or opened.origin is not None):
        tell_which(opened)
    try:
        if question is None:
            from erllama_cli.talk.loop import talk  # who only asks does not wait for all that can be typed

            talk(conversation, resumed=not opened.is_new, files=files)
        else:
            conversation.ask(question)
    finally:
        conversation.close()
