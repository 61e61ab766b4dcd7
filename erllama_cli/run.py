"""`erllama run`: one answer, or one to each record of a batch."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.options.answer import AnswerOptions, unasked_request
from erllama_cli.options.answer_command import AnswerCommand
from erllama_cli.options.batch import BatchOptions
from erllama_cli.options.groups import with_option_groups
from erllama_cli.options.model import LoadOptions
from erllama_cli.options.opening import FollowingOptions
from erllama_cli.options.sampling import SamplingOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from erllama_daemon.messages import CompleteRequest, Message

COMMAND = AnswerCommand
EXAMPLES = """\b
Examples:
  erllama run demo "Why do llamas hum?"
  cat LICENSE | erllama run demo "Who may copy this?"
  erllama run ./model.gguf - < question.txt
  erllama run demo -f style.md -f letter.txt "Mend its style."
  erllama run demo --json -t 0 "Count to three." | jq .cached_tokens
  erllama run demo --json-schema person.json "Invent a person."
  erllama run demo --session build "And why?" < log.txt
  erllama run demo --parent "$(jq -r .finish_key answer.json)" "Are you sure?"
  erllama run demo --private "Proofread this letter." < letter.txt
  erllama run demo --require-cached "Who may copy this?" < LICENSE
  erllama run demo --adapter pirate.gguf=0.5 --stop "Arr" "Who are you?"
  ls *.md | erllama run demo --batch - "What may such a file hold?"
  erllama run demo --batch questions.jsonl -o answers.jsonl"""


@with_option_groups
def run(
    model: ModelArgument,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="The question; - reads standard input alone.")
    ] = None,
    *,
    file: options.Files = None,
    system: options.System = None,
    following: FollowingOptions,
    batching: BatchOptions,
    answering: AnswerOptions,
    choosing: SamplingOptions,
    loading: LoadOptions,
    output: options.Output = None,
    display: options.DisplayOptions,
) -> None:
    """Print one answer, token by token.

    Files and then what is piped in go before the prompt, so that a document that is asked about again is not read
    again. With --batch, there is an answer to each record; if some have none, the exit code is that of their failures,
    or 1 if they failed differently.
    """
    with reported_failures(as_json=display.as_json, debug=display.debug):
        import msgspec

        from erllama_cli.documents import read_documents
        from erllama_cli.files import STREAM
        from erllama_cli.question import system_messages, typed_text

        following.check(system, private=answering.private, no_cache=answering.no_cache)
        batching.check(following, display)
        display.check()
        resolved = resolve_model(model)
        request = unasked_request(answering, choosing, loading, as_json=display.as_json)
        request = msgspec.structs.replace(
            request, overflow=following.overflow or "stop", parent_key=following.parent_key
        )
        head = [] if following.parent_key is not None else system_messages(system)
        text = typed_text(prompt)
        documents = read_documents(
            file or [], stdin_asked_for=prompt == STREAM, stdin_is_taken=batching.batch == STREAM
        )
        exit_code = 0
        with _printing_to(output):
            display = display if output is None else display.but(no_stream=True)
            if batching.batch is not None:
                # Imported here: most questions are asked alone.
                from erllama_cli.batch.batch import Questions, answer_batch

                request = msgspec.structs.replace(request, model=resolved)
                questions = Questions(request=request, head=head, documents=documents, prompt=text)
                exit_code = answer_batch(questions, batching, display)
            else:
                question = _question(documents, text, model)
                _answer(resolved, following.session, request, [*head, question], display, is_told=system is not None)
        if exit_code:
            raise typer.Exit(exit_code)


def _question(documents: Sequence[str], text: str, model: str) -> Message:
    """Raises PromptEmpty, which at a terminal also names what is for talking there."""
    from erllama_cli.documents import stdin_is_terminal
    from erllama_cli.question import question_about
    from erllama_daemon.errors import PromptEmpty

    try:
        return question_about(documents, text)
    except PromptEmpty as error:
        if stdin_is_terminal():
            hint = 'Give it as an argument: erllama run {model!q} "Why?" To talk with the model: erllama chat {model!q}'
            raise error.with_hint(hint, model=model) from None
        raise


def _printing_to(output: str | None) -> AbstractContextManager[None]:
    if output is None:
        return nullcontext()
    from erllama_cli.output_file import output_to

    return output_to(output)


def _answer(
    model: str,
    session: str | None,
    request: CompleteRequest,
    messages: Sequence[Message],
    display: options.DisplayOptions,
    *,
    is_told: bool,
) -> None:
    """Print the answer to the last of `messages`, which follows what was said in a session if one is named.

    `is_told` says that what it is to know was given with this command.
    """
    import msgspec

    from erllama_cli.answer import print_answer, print_result
    from erllama_cli.launcher import running_daemon
    from erllama_daemon.directories import user_directories

    client = running_daemon(user_directories(), quiet=display.quiet)
    if session is None:
        request = msgspec.structs.replace(request, model=model, messages=list(messages))
        print_result(print_answer(client, request, display), display)
        return
    # Imported here: most questions belong to no conversation.
    from erllama_cli.conversation.conversation import Conversation
    from erllama_cli.conversation.opening import find_or_begin, system_at_start

    *head, question = messages
    opened = find_or_begin(client, session, model)
    Conversation(
        directories=user_directories(),
        session=opened.session,
        system=system_at_start(opened.session, head, is_given=is_told),
        request=request,
        display=display,
    ).ask(question)
