"""Options that say what is asked for besides the question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli.options.answer_command import PREFIX, REQUIRE_CACHED
from erllama_cli.options.contradictions import refuse_together, refuse_without
from erllama_cli.options.groups import OptionGroup
from erllama_cli.options.naming import said_of_options
from erllama_daemon.choices import LOGPROBS_LIMIT, MAX_TOKENS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from erllama_cli.options.model import LoadOptions
    from erllama_cli.options.sampling import SamplingOptions
    from erllama_daemon.messages import AdapterChoice, CachedDemand, CompleteRequest

_MOST_DIGITS = 20
"""Of a number; which ones make sense is checked with the whole request."""

MaxTokens = Annotated[
    int | None,
    typer.Option(
        "-n",
        "--max-tokens",
        min=1,
        metavar="N",
        help=f"Stop the answer after this many tokens; {MAX_TOKENS} by default.",
    ),
]
Stop = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="End the answer before this text. May be given several times.")
]
AdapterFiles = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[=SCALE]", help="Use this LoRA adapter for these answers too. May be given several times."
    ),
]
Logprobs = Annotated[
    int | None,
    typer.Option(min=0, max=LOGPROBS_LIMIT, metavar="N", help="Add the N likeliest tokens of each step to --json."),
]
Reproducible = Annotated[
    bool,
    typer.Option("--reproducible", help="Same prompt and seed, same answer, whatever else runs; others wait."),
]
Private = Annotated[
    bool,
    typer.Option("--private", help="Keep what is said and computed in memory alone, and nothing of it afterwards."),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither look into the cache nor leave anything in it.")]
RequireCached = Annotated[
    str | None,
    typer.Option(
        REQUIRE_CACHED,
        metavar="[=TOKENS]",
        help="Fail, before anything is read, unless the cache holds so many tokens of the prompt; without a number, "
        "all that stands before the question.",
    ),
]
LogitsDigest = Annotated[
    bool, typer.Option("--logits-digest", help="Prove bit-exactness: add a digest of all logits to --json.")
]


class AnswerOptions(OptionGroup):
    """What is asked of an answer, whatever the question."""

    max_tokens: MaxTokens = None
    stop: Stop = None
    adapter: AdapterFiles = None
    reproducible: Reproducible = False
    logprobs: Logprobs = None
    private: Private = False
    no_cache: NoCache = False
    require_cached: RequireCached = None
    logits_digest: LogitsDigest = False


def unasked_request(
    answering: AnswerOptions, choosing: SamplingOptions, loading: LoadOptions, *, as_json: bool
) -> CompleteRequest:
    """A request that lacks only its question; the configuration says what no option does.

    Raises the usage error of the first option that makes no sense, and ConfigInvalid.
    """
    from msgspec.structs import replace

    from erllama_cli.config.defaults import usual
    from erllama_cli.question import valid_text
    from erllama_daemon.messages import CompleteRequest, Message
    from erllama_daemon.messages.checks import check_complete

    refuse_without(("--logprobs", answering.logprobs), ("--json", as_json))
    for option in (("--private", answering.private), (REQUIRE_CACHED, answering.require_cached)):
        refuse_together(option, ("--no-cache", answering.no_cache))
    request = CompleteRequest(
        max_tokens=usual("max_tokens") if answering.max_tokens is None else answering.max_tokens,
        sampling=choosing.sampling(),
        stop=[valid_text(stop, "--stop") for stop in answering.stop or []],
        logprobs=answering.logprobs,
        adapters=_adapters(answering.adapter) if answering.adapter else [],
        reproducible=answering.reproducible,
        private=answering.private,
        cache=not answering.no_cache,
        require_cached=_demand(answering.require_cached),
        options=loading.model_options(),
        logits_digest=answering.logits_digest,
    )
    # Any question will do: the user's own is checked where it is read.
    with said_of_options():
        check_complete(replace(request, messages=[Message("user", ["?"])]))
    return request


def _adapters(files: Sequence[str]) -> list[AdapterChoice]:
    from erllama_cli.adapter.file import adapter_choice

    return [adapter_choice(file) for file in files]


def _demand(text: str | None) -> CachedDemand:
    if text is None:
        return None
    if text == PREFIX:
        return PREFIX
    if not (text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS):
        from erllama_daemon.errors import RequestInvalid

        raise RequestInvalid(reason=f"{REQUIRE_CACHED} takes a number of tokens, not {text!r}")
    return int(text)
