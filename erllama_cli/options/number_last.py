"""A command whose last argument may be a negative number."""

from __future__ import annotations

from typing import Any

from erllama_cli.plain_usage import PlainUsage


class NumberLast(PlainUsage):
    """Takes `-1` for its last argument; anything else that begins with a hyphen is an option, known or not."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments that are left over."""
        if "--" not in args:
            numbers = [arg for arg in args if _is_negative(arg)]
            args = [*(arg for arg in args if not _is_negative(arg)), *(["--", *numbers] if numbers else [])]
        return super().parse_args(ctx, args)


def _is_negative(word: str) -> bool:
    try:
        return word.startswith("-") and float(word) <= 0
    except ValueError:
        return False
