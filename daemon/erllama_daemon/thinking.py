"""What models write around their thinking, as far as a chat template knows."""

from __future__ import annotations

from dataclasses import dataclass

THINKING = (("<think>", "</think>"), ("<thinking>", "</thinking>"))
"""What models write before and after their thinking."""


@dataclass(frozen=True, slots=True)
class ThinkingMarkers:
    """What a model writes around its thinking; with `starts_inside`, the prompt has written the opening one already."""

    opening: str
    closing: str
    starts_inside: bool = False


def thinking_markers(template_source: str | None, prompt: str) -> ThinkingMarkers | None:
    """The markers that a chat template knows, given the end of the rendered prompt; None if it knows none."""
    end = prompt[-200:].rstrip()
    for opening, closing in THINKING:
        if opening in (template_source or "") or closing in (template_source or ""):
            return ThinkingMarkers(opening, closing, end.endswith(opening))
    return None
