"""Options of a command that answers many questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from erllama_cli.options.contradictions import Option, refuse_together, refuse_without
from erllama_cli.options.groups import OptionGroup

if TYPE_CHECKING:
    from erllama_cli.options import DisplayOptions
    from erllama_cli.options.opening import FollowingOptions

BatchFormat = Literal["jsonl", "nul", "lines"]

JOBS = 4
"""As many as a model answers together by default."""

_MOST_JOBS = 64


class BatchOptions(OptionGroup):
    """Which questions there are, and how their answers are told apart."""

    batch: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Answer every record of FILE (- is standard input), in order: JSON Lines if its first line is a JSON "
            "object or string, else what NUL characters separate, or else lines. A record goes before PROMPT. JSON "
            "objects have a `prompt` and, as they like, an `id`, a `system` and the names of options, as in "
            '{"prompt": "Why?", "max_tokens": 20}.',
        ),
    ] = None
    batch_format: Annotated[
        BatchFormat | None,
        typer.Option(help="What the records are, whatever they look like; `lines` begins at the first line of a pipe."),
    ] = None
    jobs: Annotated[
        int,
        typer.Option("-j", "--jobs", min=1, max=_MOST_JOBS, metavar="N", help="How many records are asked at once."),
    ] = JOBS
    print0: Annotated[
        bool,
        typer.Option(
            "-0",
            "--print0",
            help="End each answer with a NUL character, as when the records do. Else JSON Lines are answered with JSON "
            "Lines, as with --json, and lines with text.",
        ),
    ] = False

    def check(self, following: FollowingOptions, display: DisplayOptions) -> None:
        """Raises RequestInvalid for options that make no sense together."""
        batch: Option = ("--batch", self.batch)
        refuse_together(batch, ("--session", following.session))
        refuse_together(batch, ("--parent", following.parent))
        refuse_without(("--batch-format", self.batch_format), batch)
        refuse_without(("--jobs", self.jobs != JOBS), batch)
        refuse_without(("--print0", self.print0), batch)
        refuse_together(("--print0", self.print0), ("--json", display.as_json))
