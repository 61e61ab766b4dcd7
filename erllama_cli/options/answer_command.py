"""A command that answers, with an option whose value may be left out."""

from __future__ import annotations

from typing import Any, Final

from erllama_cli.plain_usage import PlainUsage

REQUIRE_CACHED = "--require-cached"
PREFIX: Final = "prefix"
"""What `--require-cached` demands without a number: all that stands before the question."""


class AnswerCommand(PlainUsage):
    """Takes a value for `--require-cached` only after `=`, so that what follows the bare option is the prompt."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments that are left over."""
        end = args.index("--") if "--" in args else len(args)
        options = [f"{arg}={PREFIX}" if arg == REQUIRE_CACHED else arg for arg in args[:end]]
        return super().parse_args(ctx, options + args[end:])
