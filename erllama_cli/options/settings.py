"""Options that configure one process."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli.completion.candidates import complete_setting

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Configure this daemon otherwise than the file and the environment do. May be given several times.",
        autocompletion=complete_setting,
    ),
]
