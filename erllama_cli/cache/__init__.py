"""`erllama cache`: look into the cache, and tend it. One module a command."""

from __future__ import annotations

import typer

from erllama_cli.cache import evict, ls, stats, tree

app = typer.Typer(
    help="Look into the cache, and tend it.",
    epilog="\b\nExamples:\n  erllama cache stats\n  erllama cache tree\n  erllama cache evict demo",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("stats", epilog=stats.EXAMPLES)(stats.stats)
app.command("ls", epilog=ls.EXAMPLES)(ls.ls)
app.command("tree", epilog=tree.EXAMPLES)(tree.tree)
app.command("evict", epilog=evict.EXAMPLES)(evict.evict)


@app.callback()
def _cache() -> None:
    """Look into the cache, and tend it."""
