"""The command `erllama`: what it is made of, and how it starts."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from erllama_cli import adapter, cache, chat, daemon, detokenize, embed, load, ps, render, run, tokenize, unload
from erllama_cli.answer_command import AnswerCommand
from erllama_daemon import __version__
from erllama_daemon.errors import EXIT_INTERRUPTED

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
app.command("run", cls=AnswerCommand, epilog=run.EXAMPLES)(run.run)
app.command("chat", cls=AnswerCommand, epilog=chat.EXAMPLES)(chat.chat)
app.command("tokenize", epilog=tokenize.EXAMPLES)(tokenize.tokenize)
app.command("detokenize", epilog=detokenize.EXAMPLES)(detokenize.detokenize)
app.command("render", epilog=render.EXAMPLES)(render.render)
app.command("embed", epilog=embed.EXAMPLES)(embed.embed)
app.command("load", epilog=load.EXAMPLES)(load.load)
app.command("unload", epilog=unload.EXAMPLES)(unload.unload)
app.command("ps", epilog=ps.EXAMPLES)(ps.ps)
app.add_typer(adapter.app, name="adapter")
app.add_typer(cache.app, name="cache")
app.add_typer(daemon.app, name="daemon")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"erllama {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options that stand before any command."""


def main() -> None:
    """Run the command in `sys.argv` and leave with its exit code.

    Text that the terminal's encoding lacks is replaced: an answer is never lost over one character.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="erllama")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
