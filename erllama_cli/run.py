"""`erllama run`: one answer."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.answer import print_answer, print_notices
from erllama_cli.failures import reported_failures
from erllama_cli.launcher import running_daemon
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.output import print_json
from erllama_cli.question import read_question, valid_text
from erllama_daemon.directories import user_directories
from erllama_daemon.messages import CompleteRequest, Message

EXAMPLES = """\b
Examples:
  erllama run demo "Why do llamas hum?"
  cat LICENSE | erllama run demo "Who may copy this?"
  erllama run ./model.gguf - < question.txt
  erllama run demo --json -t 0 "Count to three." | jq .cached_tokens"""


def run(
    model: ModelArgument,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="The question; - reads standard input alone.")
    ] = None,
    max_tokens: options.MaxTokens = options.MAX_TOKENS,
    temperature: options.Temperature = options.SAMPLING.temperature,
    top_k: options.TopK = options.SAMPLING.top_k,
    top_p: options.TopP = options.SAMPLING.top_p,
    min_p: options.MinP = options.SAMPLING.min_p,
    repeat_penalty: options.RepeatPenalty = options.SAMPLING.repeat_penalty,
    seed: options.Seed = None,
    system: options.System = None,
    logits_digest: options.LogitsDigest = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Print one answer, token by token.

    What is piped in goes before the prompt, so that a document that is asked about again is not read again.
    """
    with reported_failures(as_json=as_json, debug=debug):
        resolved = resolve_model(model)
        head = [Message("system", [valid_text(system, "the system prompt")])] if system else []
        request = CompleteRequest(
            messages=[*head, read_question(prompt)],
            model=resolved,
            max_tokens=max_tokens,
            sampling=options.sampling(temperature, top_k, top_p, min_p, repeat_penalty, seed),
            logits_digest=logits_digest,
        )
        stats = print_answer(running_daemon(user_directories()), request, as_json=as_json, quiet=quiet)
        if as_json:
            print_json(stats)
        else:
            print_notices(stats, quiet=quiet)
