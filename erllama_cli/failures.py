"""The one place that tells the user what went wrong, and with which exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from erllama_cli.output import flush_output
from erllama_cli.standard_output import silence

# What went wrong is imported when something does.
if TYPE_CHECKING:
    from erllama_daemon.messages import Failure

EXIT_PIPE_CLOSED = 141

_NO_TEXT = "surrogates not allowed"
"""What Python says where an argument has bytes that are no text, and no command has looked at it closely."""


@contextmanager
def reported_failures(*, as_json: bool = False, debug: bool = False) -> Iterator[None]:
    """Every error inside is told to the user and becomes the command's exit code.

    A reader that left early (`erllama run … | head`) ends the command as SIGPIPE would, Ctrl-C as SIGINT would:
    without a word.
    """
    try:
        yield
        flush_output()
    except KeyboardInterrupt:
        from erllama_daemon.errors import EXIT_INTERRUPTED

        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        silence(sys.stdout)
        raise typer.Exit(EXIT_PIPE_CLOSED) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        failure = told_failure(error, debug=debug)
        if as_json:
            _print_report(failure)
        raise typer.Exit(failure.exit_code) from None


def told_failure(error: Exception, *, debug: bool) -> Failure:
    """What the user has been told of `error`, where a command may go on after it."""
    if debug:
        print_traceback(error)
    failure = failure_of(error)
    print_failure(failure)
    return failure


def print_traceback(error: Exception) -> None:
    """Where an error came from, on standard error."""
    import traceback

    traceback.print_exception(error)


def failure_of(error: Exception) -> Failure:
    """What to tell of `error`, also when nobody expected it."""
    from erllama_cache.errors import ErllamaError
    from erllama_daemon.errors import RequestInvalid, Unexpected
    from erllama_daemon.messages import Failure

    if isinstance(error, ErllamaError):
        return Failure.of(error)
    if isinstance(error, UnicodeEncodeError) and error.reason == _NO_TEXT:
        return Failure.of(RequestInvalid(reason="an argument is not UTF-8 text"))
    return Failure.of(Unexpected(kind=type(error).__name__, reason=error))


def print_usage_failure(reason: str) -> None:
    """What is wrong with a command line, as the JSON object of a failure."""
    from erllama_daemon.errors import CommandLineInvalid
    from erllama_daemon.messages import Failure

    _print_report(Failure.of(CommandLineInvalid(reason=reason)))


def told(error: Exception) -> int:
    """Tell an error that no command has caught, unless it is that the reader left; gives what to end with."""
    if isinstance(error, BrokenPipeError):
        return EXIT_PIPE_CLOSED
    failure = failure_of(error)
    print_failure(failure)
    return failure.exit_code


def print_failure(failure: Failure) -> None:
    """The message and, on the next line, its hint: to stderr, where a terminal gets whole words and nothing harmful."""
    told = f"erllama: {failure.message}" + (f"\n{failure.hint}" if failure.hint else "")
    if sys.stderr is not None and sys.stderr.isatty():
        from erllama_cli.drawing.printable import printable
        from erllama_cli.one_line import broken_at_words, line_width

        told = broken_at_words(printable(told), line_width())
    with contextlib.suppress(OSError):  # there is nobody else to tell
        print(told, file=sys.stderr, flush=True)


def _print_report(failure: Failure) -> None:
    """The failure as JSON, unless nothing can be printed; one that nobody reads is what it is all the same."""
    from erllama_daemon.errors import OutputFailed

    if failure.code != OutputFailed.code:
        from erllama_cli.output import print_json
        from erllama_cli.results.failure import FailureReport

        with contextlib.suppress(BrokenPipeError):
            print_json(FailureReport(failure))
