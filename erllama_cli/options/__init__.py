"""Options that several commands share: here those that mean the same everywhere, beside it one group a file."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli.options.contradictions import refuse_together
from erllama_cli.options.groups import OptionGroup

System = Annotated[
    str | None, typer.Option("-s", "--system", metavar="TEXT", help="What the model should know before all else.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress and no notices.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write what would be printed to FILE, over what is there, once all of it is complete; - prints it.",
    ),
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "-f",
        "--file",
        metavar="FILE",
        help="Put a UTF-8 text before the question, exactly as it is; - is standard input. May be given several times: "
        "the order counts, for a beginning that was read before is not read again.",
    ),
]


class DisplayOptions(OptionGroup):
    """How an answer is shown.

    `ends_line` has a last line without an end get one, and `in_chat` says that commands such as /thinking can be typed
    after it.
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
    stats: Annotated[
        bool, typer.Option("--stats", help="Say on standard error, on one line, what the answer took.")
    ] = False
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Print an answer at once when it is complete, or nothing of it.")
    ] = False
    ends_line: bool = True
    in_chat: bool = False

    def check(self) -> None:
        """Raises RequestInvalid for options that make no sense together."""
        refuse_together(("--stats", self.stats), ("--quiet", self.quiet))
