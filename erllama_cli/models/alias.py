"""`erllama models alias`: the user's own names for models."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.completion.candidates import complete_alias, complete_model
from erllama_cli.failures import reported_failures
from erllama_cli.output import Table, print_json, print_table

EXAMPLES = """\b
Examples:
  erllama models alias small demo
  erllama models alias small
  erllama models alias --rm small"""


def alias(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The name of your own.", autocompletion=complete_alias)
    ] = None,
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="The model that it is to mean.", autocompletion=complete_model),
    ] = None,
    rm: Annotated[bool, typer.Option("--rm", help="Remove it.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Give a model a name of your own, or show or remove such names.

    With MODEL, sets what NAME means; without it, shows that; without NAME, shows all. A name has no slash and does not
    begin with a hyphen. They are the table [aliases] of the configuration, and a daemon knows them at once.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.models.aliases import remove_alias, set_alias, shown_aliases
        from erllama_cli.results.models import Aliases
        from erllama_daemon.directories import user_directories
        from erllama_daemon.errors import RequestInvalid

        directories = user_directories()
        if rm and (name is None or model is not None):
            raise RequestInvalid(reason="--rm takes the NAME to remove, and nothing else")
        if rm and name is not None:
            remove_alias(directories, name)
        elif name is not None and model is not None:
            set_alias(directories, name, model)
        aliases = shown_aliases(directories, None if rm else name)
        if as_json:
            print_json(Aliases(aliases))
        elif not (rm or model is not None):
            _show(aliases, name, quiet=quiet)
        elif not quiet:
            print(f"{name} is removed" if rm else f"{name} is {aliases[str(name)]}")


def _show(aliases: dict[str, str], name: str | None, *, quiet: bool) -> None:
    from erllama_cli.one_line import one_line

    if name is not None:
        print(aliases[name])
    elif aliases:
        print_table(Table(("alias", "model"), [[one_line(each), one_line(meant)] for each, meant in aliases.items()]))
    elif not quiet and sys.stderr.isatty():
        print("There is no alias yet. Make one with: erllama models alias NAME MODEL", file=sys.stderr)
