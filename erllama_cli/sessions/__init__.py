"""`erllama sessions`: the conversations that are kept. One module a command."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from erllama_cli.commands import Place, add_commands

COMMANDS: dict[str, Place] = {
    **{name: (f"erllama_cli.sessions.{name}", name) for name in ("ls", "show", "rm", "rename", "fork", "export")},
    "import": ("erllama_cli.sessions.import_", "import_"),
}


def new_app(words: Sequence[str] = ()) -> typer.Typer:
    """The group, or as much of it as `words`, what was typed after its name, ask for."""
    app = typer.Typer(
        help="Look at the conversations that are kept, and tend them.",
        epilog="\b\nExamples:\n  erllama sessions ls\n  erllama sessions show build\n"
        '  erllama sessions fork build "another way" --turn 5\n  erllama sessions export build -o build.md',
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.callback()(_sessions)
    add_commands(app, COMMANDS, words)
    return app


def _sessions() -> None:
    """Look at the conversations that are kept, and tend them."""
