"""Options that several commands of the cache share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from erllama_cli.completion.candidates import complete_model, complete_session

ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help="Only what this model computed.", autocompletion=complete_model),
]
SessionOption = Annotated[
    str | None,
    typer.Option(
        "--session",
        metavar="NAME",
        help="Only what this conversation uses: its name, its id, or how its id begins.",
        autocompletion=complete_session,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and let nothing go.")]
Order = Literal["age", "value", "size", "tokens"]
"""What comes first in a list."""
