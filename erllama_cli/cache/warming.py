"""Documents read into the cache, one after another."""

from __future__ import annotations

import msgspec

from erllama_cache.errors import ErllamaError
from erllama_cli.answer import print_answer
from erllama_cli.cache.this_machine import directories_here
from erllama_cli.client import Client
from erllama_cli.documents import read_document
from erllama_cli.failures import failure_of, print_failure, print_traceback
from erllama_cli.options import DisplayOptions
from erllama_cli.question import question_about
from erllama_cli.results.cache import WarmedFile
from erllama_daemon.errors import DocumentUnreadable, NothingToPin, PromptEmpty
from erllama_daemon.messages import CompleteRequest, Message, RemoteError, Stats

_OF_ONE_DOCUMENT = {"context_exceeded", "prompt_empty"}
"""Errors of the daemon's that say nothing about the next document."""


def warm_document(
    client: Client, request: CompleteRequest, file: str, display: DisplayOptions, *, pin: bool
) -> WarmedFile:
    """What became of one document, told to the user. Raises what would befall every other one too."""
    try:
        document = read_document(file)
        question = msgspec.structs.replace(request, messages=[*request.messages, _question_about(document)])
        done = _warmed(file, print_answer(client, question, display))
        if pin:
            done = _pinned(done)
    except (DocumentUnreadable, PromptEmpty, NothingToPin, RemoteError) as error:
        if isinstance(error, RemoteError) and error.failure.code not in _OF_ONE_DOCUMENT:
            raise
        return _failed(file, error, debug=display.debug)
    if not (display.as_json or display.quiet):
        print(_line(done), flush=True)
    return done


def _question_about(document: str) -> Message:
    """As every question about it begins. Raises PromptEmpty if there is nothing in it."""
    if not document.strip():
        raise PromptEmpty
    return question_about([document], "?")


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
        with Holdings(directories_here().cache) as holdings:
            holdings.pin([bytes.fromhex(done.finish_key)])
    except KeyUnknown as error:
        raise NothingToPin(document=done.file) from error
    return msgspec.structs.replace(done, pinned=True)


def _failed(file: str, error: ErllamaError, *, debug: bool) -> WarmedFile:
    if debug:
        print_traceback(error)
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
