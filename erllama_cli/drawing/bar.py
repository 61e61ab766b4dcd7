"""How full something is."""

from __future__ import annotations

import math


def bar(full: float, width: int) -> str:
    """`full`, from 0 to 1, as a bar of `width` columns between brackets. What is there at all shows."""
    filled = min(width, math.ceil(full * width))
    return f"[{'#' * filled}{'-' * (width - filled)}]"


def percent(part: float) -> str:
    """A part of 1 as people say it."""
    return "<1 %" if 0 < part < 0.01 else f"{part:.0%}".replace("%", " %")
