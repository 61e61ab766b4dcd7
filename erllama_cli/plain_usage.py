"""A command's usage as every other tool writes it."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class PlainUsage(TyperCommand):
    """Names an argument that must be given without the braces that typer puts around it."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What may follow the command's name."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]
