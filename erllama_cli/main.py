"""The command `erllama`: what it is made of, and how it starts."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from erllama_cli.commands import Place, add_commands
from erllama_cli.signals import Ended, tidy_up_at_signals
from erllama_daemon import __version__
from erllama_daemon.errors import EXIT_INTERRUPTED

COMMANDS: dict[str, Place] = {
    name: (f"erllama_cli.{name}", name)
    for name in ("run", "chat", "tokenize", "detokenize", "render", "embed", "load", "unload", "ps")
}
COMPLETED_LINE = "_ERLLAMA_COMPLETE_LINE"
"""Where a shell puts the command line that it wants completed."""

GROUPS = ("adapter", "cache", "daemon", "sessions")


_VERSION = "--version"
_COMPLETION_OPTIONS = {"--install-completion", "--show-completion"}


def new_app(words: Sequence[str] = ()) -> typer.Typer:
    """The command, or as much of it as `words`, its arguments, ask for."""
    app = typer.Typer(
        name="erllama",
        help="Give a local language model a memory.\n\n"
        "A daemon keeps what the model has read, token by token, in memory and on disk: a prompt that begins like an "
        "earlier one, or a chat from last week, goes on where it left off.",
        epilog="\b\nExamples:\n"
        '  erllama run demo "Why do llamas hum?"\n'
        '  cat LICENSE | erllama run demo "Who may copy this?"\n'
        "  erllama chat demo\n"
        "  erllama chat --continue",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    if _COMPLETION_OPTIONS & set(words):
        from erllama_cli.completion.shells import offer_scripts

        offer_scripts()
    asked = words[0] if words else ""
    if asked == _VERSION:
        return app
    if asked not in GROUPS:
        add_commands(app, COMMANDS, words)
    for group in GROUPS:
        if asked == group or asked not in (*COMMANDS, *GROUPS):
            module = import_module(f"erllama_cli.{group}")
            app.add_typer(module.new_app(words[1:]) if group in ("cache", "sessions") else module.app, name=group)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"erllama {__version__}")
        raise typer.Exit


def _options(
    _version: Annotated[
        bool, typer.Option(_VERSION, callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options that stand before any command."""


def main() -> None:
    """Run the command in `sys.argv` and leave with its exit code.

    Text that the terminal's encoding lacks is replaced: an answer is never lost over one character. What goes to a
    closed standard error goes nowhere.
    """
    if sys.stderr is None:  # or print(…, file=sys.stderr) would write among the answers
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    tidy_up_at_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        if COMPLETED_LINE in os.environ:
            _complete(os.environ[COMPLETED_LINE])
        else:
            new_app(sys.argv[1:])(prog_name="erllama")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Ended as ended:
        ended.die()


def _complete(line: str) -> None:
    from typer.main import get_command

    from erllama_cli.completion.shells import answer
    from erllama_cli.completion.words import typed_words

    typed = typed_words(line)
    print(answer(get_command(new_app(typed.before[1:])), typed), end="")
