"""`erllama run`: one answer."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.options.answer import AnswerOptions, unasked_request
from erllama_cli.options.answer_command import AnswerCommand
from erllama_cli.options.groups import with_option_groups
from erllama_cli.options.model import LoadOptions
from erllama_cli.options.opening import FollowingOptions
from erllama_cli.options.sampling import SamplingOptions

COMMAND = AnswerCommand
EXAMPLES = """\b
Examples:
  erllama run demo "Why do llamas hum?"
  cat LICENSE | erllama run demo "Who may copy this?"
  erllama run ./model.gguf - < question.txt
  erllama run demo --json -t 0 "Count to three." | jq .cached_tokens
  erllama run demo --json-schema person.json "Invent a person."
  erllama run demo --session build "And why?" < log.txt
  erllama run demo --parent "$(jq -r .finish_key answer.json)" "Are you sure?"
  erllama run demo --private "Proofread this letter." < letter.txt
  erllama run demo --require-cached "Who may copy this?" < LICENSE
  erllama run demo --adapter pirate.gguf=0.5 --stop "Arr" "Who are you?\""""


@with_option_groups
def run(
    model: ModelArgument,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="The question; - reads standard input alone.")
    ] = None,
    *,
    following: FollowingOptions,
    answering: AnswerOptions,
    choosing: SamplingOptions,
    system: options.System = None,
    loading: LoadOptions,
    display: options.DisplayOptions,
) -> None:
    """Print one answer, token by token.

    What is piped in goes before the prompt, so that a document that is asked about again is not read again.
    """
    with reported_failures(as_json=display.as_json, debug=display.debug):
        import msgspec

        from erllama_cli.answer import print_answer, print_result
        from erllama_cli.launcher import running_daemon
        from erllama_cli.question import read_question, system_messages
        from erllama_daemon.directories import user_directories

        following.check(system, private=answering.private, no_cache=answering.no_cache)
        resolved = resolve_model(model)
        request = unasked_request(answering, choosing, loading, as_json=display.as_json)
        request = msgspec.structs.replace(request, overflow=following.overflow or "stop")
        head = [] if following.parent_key is not None else system_messages(system)
        question = read_question(prompt)
        client = running_daemon(user_directories(), quiet=display.quiet)
        if following.session is None:
            messages, parent_key = [*head, question], following.parent_key
            request = msgspec.structs.replace(request, model=resolved, messages=messages, parent_key=parent_key)
            print_result(print_answer(client, request, display), display)
            return
        # Imported here: most questions belong to no conversation.
        from erllama_cli.conversation.conversation import Conversation
        from erllama_cli.conversation.opening import find_or_begin, system_at_start

        opened = find_or_begin(client, following.session, resolved)
        Conversation(
            directories=user_directories(),
            session=opened.session,
            system=system_at_start(opened.session, head, is_given=system is not None),
            request=request,
            display=display,
        ).ask(question)
