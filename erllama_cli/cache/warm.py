"""`erllama cache warm`: documents read now, so that questions about them need not wait."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from erllama_cache.errors import ErllamaError
from erllama_cli import options
from erllama_cli.adapter.file import adapter_choice
from erllama_cli.answer import print_answer
from erllama_cli.client import Client
from erllama_cli.failures import failure_of, print_failure, reported_failures
from erllama_cli.files import read_text_file
from erllama_cli.launcher import running_daemon
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.options import DisplayOptions
from erllama_cli.options.answer import AdapterFiles
from erllama_cli.options.groups import with_option_groups
from erllama_cli.options.model import LoadOptions
from erllama_cli.output import print_json
from erllama_cli.question import STDIN_ONLY, piped_text, question_about, system_messages
from erllama_cli.results.cache import Warmed, WarmedFile
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import DocumentUnreadable, NothingToPin, PromptEmpty, RequestInvalid
from erllama_daemon.messages import CompleteRequest, RemoteError, Stats

EXAMPLES = """\b
Examples:
  erllama cache warm demo LICENSE README.md
  erllama cache warm demo --pin -s "Be brief." report.txt
  git diff | erllama cache warm demo -"""

DOCUMENT_BYTES_LIMIT = 64 << 20

_OF_ONE_DOCUMENT = {"context_exceeded", "prompt_empty"}
"""Errors of the daemon's that say nothing about the next document."""


@with_option_groups
def warm(
    model: ModelArgument,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="UTF-8 texts; - is standard input.")],
    *,
    system: options.System = None,
    adapter: AdapterFiles = None,
    pin: Annotated[bool, typer.Option("--pin", help="Never let them be evicted.")] = False,
    loading: LoadOptions,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Read documents into the cache, each as `cat FILE | erllama run MODEL 'a question'` will.

    A document that cannot be read does not stop the others; the exit code is that of the first.
    """
    with reported_failures(as_json=as_json, debug=debug):
        request = CompleteRequest(
            model=resolve_model(model),
            messages=system_messages(system),
            max_tokens=0,
            adapters=[adapter_choice(file) for file in adapter or []],
            options=loading.model_options(),
        )
        client = running_daemon(user_directories())
        display = DisplayOptions(as_json=as_json, quiet=quiet, debug=debug)
        warmed = [_warm(client, request, file, display, pin=pin) for file in files]
        if as_json:
            print_json(Warmed(warmed))
        first = next((each.error for each in warmed if each.error is not None), None)
        if first is not None:
            raise typer.Exit(first.exit_code)


def _warm(client: Client, request: CompleteRequest, file: str, display: DisplayOptions, *, pin: bool) -> WarmedFile:
    """What became of one document, told to the user. Raises what would befall every other one too."""
    try:
        document = _read(file)
        question = msgspec.structs.replace(request, messages=[*request.messages, question_about(document)])
        done = _warmed(file, print_answer(client, question, display))
        if pin:
            done = _pinned(done)
    except (DocumentUnreadable, PromptEmpty, NothingToPin, RemoteError) as error:
        if isinstance(error, RemoteError) and error.failure.code not in _OF_ONE_DOCUMENT:
            raise
        return _failed(file, error)
    if not (display.as_json or display.quiet):
        print(_line(done), flush=True)
    return done


def _read(file: str) -> str:
    if file != STDIN_ONLY:
        return read_text_file(file, DOCUMENT_BYTES_LIMIT, DocumentUnreadable)
    try:
        return piped_text()
    except RequestInvalid as error:
        raise DocumentUnreadable(reason=error.details["reason"]) from error


def _warmed(file: str, stats: Stats) -> WarmedFile:
    return WarmedFile(
        file=file,
        tokens=stats.prompt_tokens,
        cached_tokens=stats.cached_tokens,
        seconds=round((stats.restore_ms + stats.prefill_ms) / 1000, 3),
        finish_key=stats.finish_key if stats.prompt_tokens else "",
        kept=stats.saved == "published",
    )


def _pinned(done: WarmedFile) -> WarmedFile:
    """The document, whose last block no eviction takes from now on, nor what comes before it.

    Raises NothingToPin, and CacheUnwritable or IndexUnusable.
    """
    from erllama_cache.errors import KeyUnknown
    from erllama_cache.tending.holdings import Holdings

    if not (done.kept and done.finish_key):
        raise NothingToPin(document=done.file)
    try:
        with Holdings(user_directories().cache) as holdings:
            holdings.pin([bytes.fromhex(done.finish_key)])
    except KeyUnknown as error:
        raise NothingToPin(document=done.file) from error
    return msgspec.structs.replace(done, pinned=True)


def _failed(file: str, error: ErllamaError) -> WarmedFile:
    failure = failure_of(error)
    if not isinstance(error, DocumentUnreadable | NothingToPin):
        failure = msgspec.structs.replace(failure, message=f"{file}: {failure.message}")
    print_failure(failure)
    return WarmedFile(file=file, error=failure)


def _line(done: WarmedFile) -> str:
    if not done.tokens:
        return f"{done.file}: too short to be worth keeping"
    read = f"{done.tokens - done.cached_tokens:,} tokens read"
    told = [read, f"{done.cached_tokens:,} from the cache", f"{done.seconds:.1f} s"]
    told += [] if done.kept else ["not all of it kept"]
    told += ["pinned"] if done.pinned else []
    return f"{done.file}: {', '.join(told)}"
