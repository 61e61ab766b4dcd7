"""Options that several commands share: here those that mean the same everywhere, beside it one group a file."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli.options.groups import OptionGroup

System = Annotated[
    str | None, typer.Option("-s", "--system", metavar="TEXT", help="What the model should know before all else.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress and no notices.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class DisplayOptions(OptionGroup):
    """How an answer is shown.

    `stats` adds a line about what it took, and `in_chat` says that commands such as /thinking can be typed after it.
    """

    thinking: Annotated[
        bool | None,
        typer.Option(
            "--thinking/--no-thinking",
            help="Show on standard error all that a thinking model says before its answer, or nothing of it; by "
            "default a terminal shows its last lines while it thinks.",
        ),
    ] = None
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown/--no-markdown",
            help="Draw the answer on a terminal as Markdown, or print it as it stands, as everywhere else.",
        ),
    ] = True
    as_json: AsJson = False
    quiet: Quiet = False
    debug: Debug = False
    stats: bool = False
    in_chat: bool = False
