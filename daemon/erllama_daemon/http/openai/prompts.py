"""Prompts that are no conversation: texts, or the tokens of some."""

from __future__ import annotations

from erllama_daemon.errors import FieldRefused

GivenPrompts = str | list[str | int | list[int]]
"""One text, several, the tokens of one, or those of several."""

Prompt = str | list[int]


def prompts_of(given: GivenPrompts, field: str, limit: int) -> list[Prompt]:
    """Each prompt by itself, up to so many. Raises FieldRefused, naming `field`."""
    if isinstance(given, str):
        return [given]
    tokens = [each for each in given if isinstance(each, int)]
    prompts = [each for each in given if not isinstance(each, int)]
    if tokens and prompts:
        raise FieldRefused(field=field, reason="tokens do not go with whole prompts in one list")
    if len(prompts) > limit:
        raise FieldRefused(field=field, reason=f"it has more than {limit:,}")
    if not given:
        raise FieldRefused(field=field, reason="there is nothing in it")
    return [tokens] if tokens else prompts
