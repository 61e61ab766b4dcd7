"""Options that make no sense together."""

from __future__ import annotations

Option = tuple[str, object]
"""An option by the name that the user knows, and what was given for it: None and False are nothing."""


def refuse_together(*options: Option) -> None:
    """Raises RequestInvalid if more than one of them is given."""
    given = [name for name, value in options if _is_given(value)]
    if len(given) > 1:
        from erllama_daemon.errors import RequestInvalid

        raise RequestInvalid(reason=f"{' and '.join(given)} exclude each other")


def refuse_without(option: Option, *others: Option) -> None:
    """Raises RequestInvalid if `option` is given and none of the others is, of which it needs one."""
    if _is_given(option[1]) and not any(_is_given(value) for _, value in others):
        from erllama_daemon.errors import RequestInvalid

        raise RequestInvalid(reason=f"{option[0]} goes with {' or '.join(name for name, _ in others)}")


def _is_given(value: object) -> bool:
    return value is not None and value is not False
