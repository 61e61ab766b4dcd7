"""The command that was typed, from its words to its exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from erllama_cli.commands import ERLLAMA
from erllama_cli.lazy_group import lazy_app
from erllama_cli.signals import Ended, tidy_up_at_signals
from erllama_cli.standard_output import tell_lost_output
from erllama_daemon import __version__

COMPLETED_LINE = "_ERLLAMA_COMPLETE_LINE"
"""Where a shell puts the command line that it wants completed."""

_COMPLETION_OPTIONS = {"--install-completion", "--show-completion"}


def new_app(words: Sequence[str] = ()) -> typer.Typer:
    """The command with all that it is made of; `words` are its arguments."""
    if _COMPLETION_OPTIONS & set(words):
        from erllama_cli.completion.shells import offer_scripts

        offer_scripts()
    is_command = bool(words) and words[0] in ERLLAMA.commands  # whose own options they are not
    return lazy_app("erllama", ERLLAMA, "erllama_cli", _options, offers_scripts=not is_command)


def run_command() -> None:
    """Run the command in `sys.argv` and leave with its exit code. What goes to a closed standard error goes nowhere."""
    if sys.stderr is None:  # or print(…, file=sys.stderr) would write among the answers
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    tell_lost_output()
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="replace")
    try:
        tidy_up_at_signals()
        if COMPLETED_LINE in os.environ:
            _complete(os.environ[COMPLETED_LINE])
        else:
            new_app(sys.argv[1:])(prog_name="erllama")
    except KeyboardInterrupt:
        from erllama_daemon.errors import EXIT_INTERRUPTED

        sys.exit(EXIT_INTERRUPTED)
    except Ended as ended:
        ended.die()
    except Exception as error:
        from erllama_cli.failures import told
        from erllama_daemon.errors import OutputFailed

        if not isinstance(error, BrokenPipeError | OutputFailed):
            raise
        sys.exit(told(error))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"erllama {__version__}")
        raise typer.Exit


def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options that stand before any command."""


def _complete(line: str) -> None:
    from typer.main import get_command

    from erllama_cli.completion.shells import answer
    from erllama_cli.completion.words import typed_words

    print(answer(get_command(new_app()), typed_words(line)), end="")
