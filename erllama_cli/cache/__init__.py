"""`erllama cache`: look into the cache, and tend it. One module a command."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from erllama_cli.commands import Place, add_commands

_NAMES = ("stats", "ls", "tree", "explain", "warm", "evict", "clear", "gc", "verify", "pin", "unpin", "export")

COMMANDS: dict[str, Place] = {
    **{name: (f"erllama_cli.cache.{name}", name) for name in _NAMES},
    "import": ("erllama_cli.cache.import_", "import_"),
}


def new_app(words: Sequence[str] = ()) -> typer.Typer:
    """The group, or as much of it as `words`, what was typed after its name, ask for."""
    app = typer.Typer(
        help="Look into the cache, and tend it.",
        epilog="\b\nExamples:\n  erllama cache stats\n  erllama cache tree\n"
        "  erllama cache evict --older-than 30d --dry-run\n  erllama cache export 3f2a -o llamas.tar",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.callback()(_cache)
    add_commands(app, COMMANDS, words)
    return app


def _cache() -> None:
    """Look into the cache, and tend it."""
