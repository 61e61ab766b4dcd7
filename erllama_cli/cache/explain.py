"""`erllama cache explain`: what a request would find in the cache, and why not more."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.completion.candidates import complete_model, complete_session
from erllama_cli.failures import reported_failures
from erllama_cli.model import resolve_model
from erllama_cli.options.answer import AdapterFiles, Reproducible
from erllama_cli.output import Table, print_json, print_table, write_text

if TYPE_CHECKING:
    from erllama_daemon.messages import ExplainedBlock, Explanation, Message, Miss

EXAMPLES = """\b
Examples:
  erllama cache explain demo "Why do llamas hum?"
  cat LICENSE | erllama cache explain demo "Who may copy this?"
  erllama cache explain demo -f style.md -f letter.txt "Mend its style."
  erllama cache explain --session 0f3a
  erllama cache explain demo --json "Why?" | jq .miss.reason"""

_OTHER = {
    "other_model": "another model",
    "other_adapter": "another adapter",
    "other_settings": "other settings",
}
_WHERE = {"live": "live", "ram": "from memory", "disk": "from disk"}


def explain(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="As for `erllama run`; --session alone knows its own.", autocompletion=complete_model
        ),
    ] = None,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="The question; - reads standard input alone.")
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Explain this conversation as it stands or, with PROMPT, its next turn.",
            autocompletion=complete_session,
        ),
    ] = None,
    file: options.Files = None,
    system: options.System = None,
    adapter: AdapterFiles = None,
    reproducible: Reproducible = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show what a prompt would find in the cache, and why not more.

    The prompt is put together as `erllama run` or `chat` would; nothing is computed, saved or counted as a hit.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.adapter.file import adapter_choice
        from erllama_cli.launcher import running_daemon
        from erllama_cli.question import system_messages
        from erllama_daemon.directories import user_directories
        from erllama_daemon.errors import RequestInvalid
        from erllama_daemon.messages import ExplainRequest

        if model is None and session is None:
            raise RequestInvalid(reason="it names neither a model nor a session")
        if system is not None and session is not None:
            raise RequestInvalid(reason="--system belongs at the start of a conversation")
        request = ExplainRequest(
            model=None if model is None else resolve_model(model),
            session=session,
            messages=[
                *([] if session is not None else system_messages(system)),
                *_question(prompt, file or [], may_lack=session is not None),
            ],
            adapters=[adapter_choice(file) for file in adapter or []],
            reproducible=reproducible,
        )
        explanation = running_daemon(user_directories(), quiet=quiet).explain(request)
        if as_json:
            print_json(explanation)
        else:
            _print(explanation)


def _question(prompt: str | None, files: Sequence[str], *, may_lack: bool) -> list[Message]:
    from erllama_cli.question import read_question
    from erllama_daemon.errors import PromptEmpty

    try:
        return [read_question(prompt, files)]
    except PromptEmpty:
        if not may_lack or prompt is not None:
            raise
        return []


def _print(explanation: Explanation) -> None:
    lines = [*_sentences(explanation), ""]
    if sys.stdout is not None and sys.stdout.isatty():
        from erllama_cli.drawing.printable import printable
        from erllama_cli.one_line import broken_at_words, line_width

        lines = [broken_at_words(printable(line), line_width()) for line in lines]
    write_text("".join(f"{line}\n" for line in lines))
    rows = [_row(list(run)) for _, run in itertools.groupby(explanation.blocks, key=_kind)]
    numeric = frozenset({"from", "to", "tokens", "blocks"})
    print_table(Table(("from", "to", "tokens", "blocks", "where", "computed as"), rows, numeric=numeric))


def _sentences(explanation: Explanation) -> Iterator[str]:
    reused, total = explanation.reused_tokens, explanation.prompt_tokens
    counts = {"live": explanation.live_tokens, "ram": explanation.ram_tokens, "disk": explanation.disk_tokens}
    places = ", ".join(f"{count:,} {_WHERE[place]}" for place, count in counts.items() if count)
    # A share that is rounded up would claim a whole that it is not.
    share = f" ({100 * reused // total} %)" if total else ""
    yield f"{reused:,} of {total:,} tokens would be reused{share}{': ' if places else ''}{places}"
    if explanation.adapters:
        names = ", ".join(f"{adapter.path}={adapter.scale:g}" for adapter in explanation.adapters)
        yield f"With adapters: {names}"
    if explanation.note is not None:
        yield f"{explanation.note[:1].upper()}{explanation.note[1:]}."
    if explanation.miss is not None:
        yield from _reason(explanation.miss)


def _reason(miss: Miss) -> Iterator[str]:
    """Why the first token that has to be read is not in the cache. Tokens are counted from 1, as people do."""
    first, end = f"Token {miss.token + 1:,}", f"token {miss.end or 0:,}"
    match miss.reason:
        case "diverged" if (place := miss.divergence) is not None:
            yield f"Token {place.token + 1:,} differs, after {_quoted(place.before)}:"
            yield f"  here   {_quoted(place.here)}"
            yield f"  there  {_quoted(place.there)}"
        case "cut_elsewhere":
            yield f"{first} on is there up to {end}, but in blocks that end elsewhere than this prompt's."
        case "other_model" | "other_adapter" | "other_settings":
            others = "; ".join(f"{each.name} {each.there} there, {each.here} here" for each in miss.differences)
            yield f"{first} on is there up to {end}, but with {_OTHER[miss.reason]}: {others}."
        case "evicted":
            yield f"{first} on was there until {_when(miss.departed_at)}, {_departed(miss)}."
        case "generated":
            yield f"{first} on is there up to {end}, but as an answer, which has other bits than what is read."
        case "no_logits":
            yield f"{first} on is there up to {end}, but without the logits that an answer begins with."
        case _:
            yield f"{first} on has never been saved{'' if miss.detail is None else f': {miss.detail}'}."


def _departed(miss: Miss) -> str:
    match miss.departure:
        case "damaged":
            return "when its file was found damaged"
        case "removed":
            return "when somebody removed it"
        case _:
            return "when it made room for others"


def _when(moment: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment or 0.0))


def _quoted(text: str) -> str:
    shown = (letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return f'"{"".join(shown)}"'


def _kind(block: ExplainedBlock) -> tuple[str, str]:
    return block.where, block.source


def _row(run: list[ExplainedBlock]) -> list[str]:
    first, last = run[0], run[-1]
    end = last.start + last.tokens
    source = {"prompt": "prompt", "generated": "answer", "together": "answer beside others"}[first.source]
    return [f"{first.start + 1:,}", f"{end:,}", f"{end - first.start:,}", f"{len(run):,}", first.where, source]
