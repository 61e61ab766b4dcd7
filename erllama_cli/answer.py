"""Draws an answer while it comes."""

from __future__ import annotations

import sys
from contextlib import closing

from erllama_cli.client import Client
from erllama_cli.progress import Waiting
from erllama_daemon.errors import AnswerCutOff, OutputFailed
from erllama_daemon.messages import CompleteRequest, Done, Loading, Prefilling, Stats, Token


def print_answer(client: Client, request: CompleteRequest, *, as_json: bool, quiet: bool) -> Stats:
    """Ask, and write the answer to stdout token by token, unless it is to be printed as JSON.

    Whatever ends this early (Ctrl-C, a closed pipe) hangs up, which cancels the request. Raises what
    `Client.complete` raises; what came before stays on the screen, on lines of its own.
    """
    waiting = Waiting(shown=not (as_json or quiet))
    last = "\n"
    try:
        with closing(client.complete(request)) as events:
            for event in events:
                match event:
                    case Loading() | Prefilling():
                        waiting.show(event)
                    case Token(text) if text and not as_json:
                        waiting.clear()
                        last = text
                        _write(text)
                    case Done(stats) if stats.cancelled:
                        raise AnswerCutOff  # by somebody else: who hangs up hears no more
                    case Done(stats):
                        return stats
        raise AssertionError("an answer ends with Done or raises")
    finally:
        waiting.clear()
        interrupted = isinstance(sys.exception(), KeyboardInterrupt | BrokenPipeError)
        if not last.endswith("\n") and not interrupted and not isinstance(sys.exception(), OutputFailed):
            _write("\n")


def print_notices(stats: Stats, *, quiet: bool) -> None:
    """What the user should know of an answer besides its text: on stderr, and only on a terminal."""
    if quiet or not sys.stderr.isatty():
        return
    if stats.finish_reason == "length":
        print(f"[cut off after {stats.completion_tokens:,} tokens; see --max-tokens]", file=sys.stderr)
    if stats.cache_note is not None:
        reread = stats.prompt_tokens - stats.cached_tokens
        print(f"[{stats.cache_note}: {reread:,} tokens were read again]", file=sys.stderr)
    if stats.saved == "dropped":
        print("[the cache took no more: what comes next will be read again]", file=sys.stderr)


def _write(text: str) -> None:
    if sys.stdout is None:
        raise OutputFailed(reason="standard output is closed")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(reason=error.strerror or error) from error
