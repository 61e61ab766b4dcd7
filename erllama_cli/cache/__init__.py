"""`erllama cache`: look into the cache, and tend it. One module a command."""

from __future__ import annotations

import typer

from erllama_cli.cache import clear, evict, explain, export, gc, import_, ls, pin, stats, tree, verify, warm

app = typer.Typer(
    help="Look into the cache, and tend it.",
    epilog="\b\nExamples:\n  erllama cache stats\n  erllama cache tree\n"
    "  erllama cache evict --older-than 30d --dry-run\n  erllama cache export 3f2a -o llamas.tar",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("stats", epilog=stats.EXAMPLES)(stats.stats)
app.command("ls", epilog=ls.EXAMPLES)(ls.ls)
app.command("tree", epilog=tree.EXAMPLES)(tree.tree)
app.command("explain", epilog=explain.EXAMPLES)(explain.explain)
app.command("warm", epilog=warm.EXAMPLES)(warm.warm)
app.command("evict", epilog=evict.EXAMPLES)(evict.evict)
app.command("clear", epilog=clear.EXAMPLES)(clear.clear)
app.command("gc", epilog=gc.EXAMPLES)(gc.gc)
app.command("verify", epilog=verify.EXAMPLES)(verify.verify)
app.command("pin", epilog=pin.PIN_EXAMPLES)(pin.pin)
app.command("unpin", epilog=pin.UNPIN_EXAMPLES)(pin.unpin)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.command("import", epilog=import_.EXAMPLES)(import_.import_)


@app.callback()
def _cache() -> None:
    """Look into the cache, and tend it."""
