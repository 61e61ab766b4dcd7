"""The options that say which blocks are to leave the disk."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli.cache.options import DryRun
from erllama_cli.completion.candidates import complete_key, complete_model, complete_session
from erllama_cli.options.groups import OptionGroup


class DiskOptions(OptionGroup):
    """Which blocks on disk are to go: those that answer to all that is given."""

    size: Annotated[
        str | None,
        typer.Option("--bytes", metavar="SIZE", help="As much as this, the least valuable first: 500MB, 2GiB."),
    ] = None
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="What has not been used for this long: 12h, 30d.")
    ] = None
    of_model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="What belongs to this model, with any settings.",
            autocompletion=complete_model,
        ),
    ] = None
    session: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What only this conversation uses; the conversation stays.",
            autocompletion=complete_session,
        ),
    ] = None
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="This block, and all that extends it.", autocompletion=complete_key),
    ] = None
    dry_run: DryRun = False

    @property
    def choose(self) -> bool:
        """Whether they choose any blocks."""
        chosen = (self.size, self.older_than, self.of_model, self.session, self.key)
        return any(each is not None for each in chosen)

    @property
    def is_given(self) -> bool:
        """Whether anything is."""
        return self.choose or self.dry_run
